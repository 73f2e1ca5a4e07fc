-- Where operations stand, and who waits for them.

local state_of, wish_for, status, lookup, want, unwant

do

-- `rules` are the partition's.
function state_of(k, id, record, rules)
    local lane = user_of(record)
    if call('ZSCORE', k.scheduled, id) then return 'scheduled' end
    if call('ZSCORE', k.waiting, lane) then
        local reason = call('HGET', k.waits, lane)
        return not reason and 'retrying' or find(reason, '^paused') and 'paused' or 'queued'
    end
    if call('HEXISTS', k.halted, lane) == 1 then return 'halted' end
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        local claim = call('HGET', k.base .. 'held:' .. incarnation, lane)
        if claim then
            local _, _, count = read_held(claim)
            local place = call('LPOS', k.lists[class_of(record)] .. lane, id, 'MAXLEN', count)
            if place then return 'running' end
        end
    end
    return control.is_paused(k, rules, lane, op_of(record)) and 'paused' or 'queued'
end

-- A reply is wanted of an operation that somebody else has submitted, perhaps one that Redis has still to
-- hear of -> its state as Redis knows it; one that has ended is answered at once.
function wish_for(k, id, rules)
    local result = find_result(k, id)
    if result then
        push_reply(k, id, result.text, 1, result.ttl_ms)
        return result.state
    end
    local record = call('HGET', k.ops, id)
    if record then
        call('HINCRBY', k.replies, id, 1)
        return state_of(k, id, record, rules)
    end
    call('INCR', k.base .. 'wish:' .. id)
    call('PEXPIRE', k.base .. 'wish:' .. id, WISH_MS)
    return 'unknown'
end

local function find_status(k, id)
    local record = call('HGET', k.ops, id)
    -- A cancelled one keeps its place until its lane has come to it.
    if record and not has_flag(record, FLAG_CANCELLED) then return { state_of(k, id, record, control.rules_of(k)), false } end
    local result = find_result(k, id)
    if result then return { result.state, result.text } end
    return { record and state_of(k, id, record, false) or 'unknown', false }
end

function status(k, args)
    if #args ~= 2 then return refuse('invalid', 'expected USER ID') end
    if not find(args[2], UUID) then return refuse('invalid', 'ID must be a UUID') end
    return find_status(k, args[2]:lower())
end

-- What partition P knows of an id, whoever's it is: [state, result].
function lookup(k, args)
    if #args ~= 1 or not find(args[1], UUID) then return refuse('invalid', 'ID must be a UUID') end
    return find_status(k, args[1]:lower())
end

-- ID -> state: see wish_for.
function want(k, args)
    local id = args[1] and args[1]:lower()
    if not id or not find(id, UUID) then return refuse('invalid', 'ID must be a UUID') end
    return wish_for(k, id, control.rules_of(k))
end

-- ID: one reply that was wanted is not any more.
function unwant(k, args)
    local id = args[1]:lower()
    local key = k.base .. 'wish:' .. id
    if call('EXISTS', key) == 1 then
        if call('DECR', key) <= 0 then call('DEL', key) end
    elseif call('HEXISTS', k.replies, id) == 1 and call('HINCRBY', k.replies, id, -1) <= 0 then
        call('HDEL', k.replies, id)
    end
    return redis.status_reply('OK')
end

end
