-- Claiming: lanes handed to a processor.

local beat, held_text, claim, adopt

do

function beat(k, incarnation, lease_ms, at_ms)
    call('ZADD', k.beats, at_ms + lease_ms, incarnation)
end

-- Lanes whose time has come are ready again.
local function wake_waiting(k, most, at_ms)
    local due = call('ZRANGEBYSCORE', k.waiting, '-inf', at_ms, 'LIMIT', 0, most)
    if #due == 0 then return end
    end_wait(k, due)
    make_all_ready(k, due)
end

-- The records of a lane's first operations. Ids without a record are no operations any more.
local function first_records(k, lane, most)
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
    if #kept == 0 then return first_records(k, lane, most) end
    return kept
end

-- The records of the first operations of lanes {name, tag, …} from the ith on, READ_AHEAD in all or a
-- few more: in one list, and where each lane's end in it. No more is read at once, for a claim may be
-- full before it is used.
local READ_AHEAD = 64

local function read_lanes(k, lanes, i, most)
    local ids, ends = {}, {}
    while i <= #lanes and #ids < READ_AHEAD do
        for _, id in ipairs(call('LRANGE', k.lane .. lanes[i], 0, most - 1)) do ids[#ids + 1] = id end
        ends[#ends + 1] = #ids
        i = i + 2
    end
    return #ids > 0 and call('HMGET', k.ops, unpack(ids)) or ids, ends
end

-- How many of records[first] to records[last] still fit into the claim; nil where one is missing.
local function count_fitting(claim, records, first, last)
    local count = 0
    for i = first, last do
        local record = records[i]
        if not record then return nil end
        if count > 0 and claim.bytes + #record > claim.bytes_max then break end
        claim.bytes, count = claim.bytes + #record, count + 1
    end
    return count
end

function held_text(seq, tag, count)
    return seq .. ':' .. tag .. ':' .. count
end

-- Gives lanes {name, tag, …} to a processor, within its caps; those beyond its bytes go back, and then
-- it answers false. Appends to `answer` each one's name, how many records, and these.
local function give(k, claim, lanes, answer)
    local held, i = {}, 1
    while i <= #lanes and claim.bytes < claim.bytes_max do
        local records, ends = read_lanes(k, lanes, i, claim.operations_max)
        local first = 1
        for n = 1, #ends do
            if claim.bytes >= claim.bytes_max then break end
            local lane, list, from, bytes = lanes[i], records, first, claim.bytes
            local count = count_fitting(claim, records, first, ends[n])
            if not count then
                claim.bytes, list, from = bytes, first_records(k, lane, claim.operations_max), 1
                count = count_fitting(claim, list, 1, #list)
            end
            if claim.rules and count > 0 then
                local admitted = control.admit(k, claim, lane, list, from, count)
                if admitted < count then
                    claim.bytes = bytes
                    count = count_fitting(claim, list, from, from + admitted - 1)
                end
            end
            if count > 0 then
                held[#held + 1], held[#held + 2] = lane, held_text(claim.seq, lanes[i + 1], count)
                local size = #answer
                answer[size + 1], answer[size + 2] = lane, count
                for at = 1, count do answer[size + 2 + at] = list[from + at - 1] end
            end
            first, i = ends[n] + 1, i + 2
        end
    end
    if #held > 0 then
        in_chunks('HSET', k.base .. 'held:' .. claim.incarnation, held)
        beat(k, claim.incarnation, claim.lease_ms, claim.at_ms)
    end
    for back = i, #lanes, 2 do call('ZADD', k.ready, lanes[back + 1], lanes[back]) end
    return i > #lanes
end

local function read_claim(args)
    local claim = {
        incarnation = args[1], seq = args[2], lanes_max = tonumber(args[3]),
        operations_max = tonumber(args[4]), bytes_max = tonumber(args[5]), lease_ms = tonumber(args[6]),
        bytes = 0, at_ms = now_ms(),
    }
    if #args < 6 or not claim.lease_ms or not claim.bytes_max or not find(claim.seq, '^%d+$')
        or not claim.lanes_max or claim.lanes_max < 1 or claim.lanes_max > 1000
        or not claim.operations_max or claim.operations_max < 1 or claim.operations_max > 1000 then
        return nil, refuse('invalid', 'expected INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS')
    end
    return claim
end

-- While everything is paused, or might be: who comes to claim is told when that has ended.
local function claim_nothing(k, asked)
    call('SREM', k.idle, asked.incarnation)
    call('ZADD', k.beats, 'NX', asked.at_ms + asked.lease_ms, asked.incarnation)
    return { -1, 0, 1 }
end

-- INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS -> [next due ms or -1, halted lanes, 1 where none is left, lane, n, n records, …]
-- A processor that found the last ready lane is woken when there are more.
function claim(k, args)
    local asked, problem = read_claim(args)
    if problem then return problem end
    local meta, is_all = call('HMGET', k.meta, 'vt', 'rules'), true
    asked.rules = meta[2]
    if asked.rules and control.is_stopped(k, asked.rules) then return claim_nothing(k, asked) end

    wake_waiting(k, asked.lanes_max, asked.at_ms)
    if control.has(asked.rules, 'freed') then is_all = control.wake_freed(k, asked.lanes_max) end
    local lanes, answer = call('ZPOPMIN', k.ready, asked.lanes_max), { -1, 0, 0 }
    if #lanes > 0 then
        local vt = tonumber(lanes[#lanes])
        if vt > tonumber(meta[1] or 0) then call('HSET', k.meta, 'vt', format('%.0f', vt)) end
        is_all = give(k, asked, lanes, answer) and is_all
    end
    if is_all and #lanes < 2 * asked.lanes_max then
        call('SADD', k.idle, asked.incarnation)
        -- Before its first beat, too: who is not known to live is never found dead, nor forgotten.
        call('ZADD', k.beats, 'NX', asked.at_ms + asked.lease_ms, asked.incarnation)
        local next_due = call('ZRANGE', k.waiting, 0, 0, 'WITHSCORES')
        if next_due[2] and tonumber(next_due[2]) < FAR_MS then answer[1] = math.max(tonumber(next_due[2]) - asked.at_ms, 0) end
        answer[2] = call('HLEN', k.halted)
        answer[3] = 1
    end
    return answer
end

-- The same for lanes that are halted for one of these reasons: … LEASE_MS CURSOR REASON…
-- -> [next cursor, 0, 0, lane, n, n records, …]
function adopt(k, args)
    local asked, problem = read_claim(args)
    if problem then return problem end
    local known = {}
    for i = 8, #args do known[args[i]] = true end
    asked.rules = control.rules_of(k)
    if asked.rules and known.suspect then
        -- What had begun comes to its end, whatever is paused since; nothing else does.
        asked.rules, asked.operations_max = false, 1
    elseif asked.rules and control.is_stopped(k, asked.rules) then
        return { '0', 0, 0 }
    end
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
        if not give(k, asked, lanes, answer) then wake(k, 1) end
    end
    return answer
end

end
