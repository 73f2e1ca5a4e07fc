-- Claiming: lanes handed to a processor.

local function beat(k, incarnation, lease_ms)
    call('ZADD', k.beats, now_ms() + lease_ms, incarnation)
end

-- Lanes whose time has come are ready again.
local function wake_waiting(k, most)
    local due = call('ZRANGEBYSCORE', k.waiting, '-inf', now_ms(), 'LIMIT', 0, most)
    if #due == 0 then return end
    in_chunks('ZREM', k.waiting, due)
    for _, lane in ipairs(due) do make_ready(k, lane) end
end

-- The records of a lane's first operations. Ids without a record are no operations any more.
local function first_operations(k, lane, most)
    local ids = call('LRANGE', k.lane .. lane, 0, most - 1)
    if #ids == 0 then return ids end
    local records, kept = call('HMGET', k.ops, unpack(ids)), {}
    for i, id in ipairs(ids) do
        if records[i] then
            kept[#kept + 1] = records[i]
        else
            call('LREM', k.lane .. lane, 1, id)
        end
    end
    if #kept == 0 then return first_operations(k, lane, most) end
    return kept
end

local function held_text(seq, tag, count)
    return format('%s:%.0f:%d', seq, tag, count)
end

-- Gives lanes {name, tag, …} to a processor, within its caps; those beyond its bytes go back, and then
-- it answers false. Appends name and records of each to `answer`.
local function give(k, claim, lanes, answer)
    local held, bytes, is_all = {}, 0, true
    for i = 1, #lanes, 2 do
        local lane, tag = lanes[i], tonumber(lanes[i + 1])
        if bytes >= claim.bytes_max then
            call('ZADD', k.ready, tag, lane)
            is_all = false
        else
            local records = first_operations(k, lane, claim.operations_max)
            local count = 0
            for n, record in ipairs(records) do
                if count > 0 and bytes + #record > claim.bytes_max then
                    for extra = n, #records do records[extra] = nil end
                    break
                end
                bytes, count = bytes + #record, count + 1
            end
            if count > 0 then
                held[#held + 1] = lane
                held[#held + 1] = held_text(claim.seq, tag, count)
                answer[#answer + 1] = lane
                answer[#answer + 1] = table.concat(records)
            end
        end
    end
    if #held > 0 then
        in_chunks('HSET', k.base .. 'held:' .. claim.incarnation, held)
        beat(k, claim.incarnation, claim.lease_ms)
    end
    return is_all
end

local function read_claim(args)
    local claim = {
        incarnation = args[1], seq = args[2], lanes_max = tonumber(args[3]),
        operations_max = tonumber(args[4]), bytes_max = tonumber(args[5]), lease_ms = tonumber(args[6]),
    }
    if #args < 6 or not claim.lease_ms or not claim.bytes_max or not find(claim.seq, '^%d+$')
        or not claim.lanes_max or claim.lanes_max < 1 or claim.lanes_max > 1000
        or not claim.operations_max or claim.operations_max < 1 or claim.operations_max > 1000 then
        return nil, refuse('invalid', 'expected INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS')
    end
    return claim
end

-- INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS -> [next due ms or -1, halted lanes, 1 where none is left, lane, records, …]
-- A processor that found the last ready lane is woken when there are more.
local function claim(k, args)
    local asked, problem = read_claim(args)
    if problem then return problem end

    wake_waiting(k, asked.lanes_max)
    local lanes = call('ZPOPMIN', k.ready, asked.lanes_max)
    local answer, is_all = { -1, 0, 0 }, true
    if #lanes > 0 then
        local vt = tonumber(lanes[#lanes])
        if vt > tonumber(call('HGET', k.meta, 'vt') or 0) then
            call('HSET', k.meta, 'vt', format('%.0f', vt))
        end
        is_all = give(k, asked, lanes, answer)
    end
    if is_all and #lanes < 2 * asked.lanes_max then
        call('SADD', k.idle, asked.incarnation)
        -- Before its first beat, too: who is not known to live is never found dead, nor forgotten.
        call('ZADD', k.beats, 'NX', now_ms() + asked.lease_ms, asked.incarnation)
        local next_due = call('ZRANGE', k.waiting, 0, 0, 'WITHSCORES')
        if next_due[2] then answer[1] = math.max(tonumber(next_due[2]) - now_ms(), 0) end
        answer[2] = call('HLEN', k.halted)
        answer[3] = 1
    end
    return answer
end

-- The same for lanes that are halted for one of these reasons: … LEASE_MS CURSOR REASON…
-- -> [next cursor, 0, 0, lane, records, …]
local function adopt(k, args)
    local asked, problem = read_claim(args)
    if problem then return problem end
    local known = {}
    for i = 8, #args do known[args[i]] = true end
    local page = call('HSCAN', k.halted, args[7], 'COUNT', 100)
    local lanes, names = {}, {}
    for i = 1, #page[2], 2 do
        if known[page[2][i + 1]] and #names < asked.lanes_max then
            names[#names + 1] = page[2][i]
            lanes[#lanes + 1] = page[2][i]
            lanes[#lanes + 1] = call('HGET', k.meta, 'vt') or '0'
        end
    end
    local answer = { page[1], 0, 0 }
    if #names > 0 then
        call('HDEL', k.halted, unpack(names))
        if not give(k, asked, lanes, answer) then wake(k) end
    end
    return answer
end
