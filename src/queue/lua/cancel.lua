-- Cancelling: what the ledger has decided, or is asked to decide, about one operation.

local peek, cancel

do

local BATCH_COUNT = 500

-- ID -> its record, or nil
function peek(k, args)
    return args[1] and call('HGET', k.ops, args[1]:lower())
end

-- Tells the processor that has claimed the lane, perhaps runs the operation.
local function tell_holder(k, lane, id)
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        if call('HEXISTS', k.base .. 'held:' .. incarnation, lane) == 1 then
            call('PUBLISH', 'heddle:wake:' .. incarnation, 'cancel ' .. id)
            return
        end
    end
end

-- Where the lane waits for what its first operation may not do, that is over.
local function let_go(k, lane, id)
    if call('HEXISTS', k.waits, lane) == 1 and awaited(k, lane) == id then
        end_wait(k, { lane })
        make_ready(k, lane)
    end
end

-- ID RESULT RESULT_TTL_MS: RESULT where the ledger says that it is cancelled: then whoever waits is told.
-- Empty where it is being executed: whoever executes it is asked to stop, and it is not tried again.
-- Nothing is to be done where this partition does not have it.
function cancel(k, args)
    local id, result, ttl_ms = args[1] and args[1]:lower(), args[2], tonumber(args[3])
    if not id or not find(id, UUID) or not ttl_ms then
        return refuse('invalid', 'expected ID RESULT RESULT_TTL_MS')
    end
    local record = call('HGET', k.ops, id)
    if not record then return redis.status_reply('OK') end
    call('HSET', k.ops, id, flagged(record, FLAG_CANCELLED))
    if result ~= '' then
        keep_results(k, ttl_ms, { id, 'c' .. digest_of(content_of(record)) .. result })
        local count = tonumber(call('HGET', k.replies, id) or 0)
        if count > 0 then push_reply(k, id, result, count, ttl_ms) end
        call('HDEL', k.replies, id)
    end
    local lane = user_of(record)
    if result ~= '' and call('ZREM', k.scheduled, id) == 1 then
        depart(k, { id }, {})
        call('HDEL', k.ops, id)
        return redis.status_reply('OK')
    end
    tell_holder(k, lane, id)
    let_go(k, lane, id)
    return redis.status_reply('OK')
end

-- NAME CURSOR: of some operations those of the batch are cancelled unless they have begun, and not tried
-- again where they have; they end when their lane has come to them. -> [next cursor, how many those were]
function batches.cancel(k, args)
    if #args ~= 2 then return refuse('invalid', 'expected NAME CURSOR') end
    local page, cancelled, b = call('HSCAN', k.ops, args[2], 'COUNT', BATCH_COUNT), 0, open_batch(k)
    for i = 1, #page[2], 2 do
        local id, record = page[2][i], page[2][i + 1]
        if not has_flag(record, FLAG_CANCELLED) and batches.of(record) == args[1] then
            call('HSET', k.ops, id, flagged(record, FLAG_CANCELLED))
            let_go(k, user_of(record), id)
            if call('ZREM', k.scheduled, id) == 1 then put_in_lane(b, user_of(record), id, class_of(record)) end
            cancelled = cancelled + 1
        end
    end
    write_batch(b)
    return { page[1], cancelled }
end

end
