-- Claiming: lanes handed to a processor.

local beat, claim, adopt

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

-- A lane's next ids; in a quarantine that of the suspect, wherever it stands.
local function ids_of(k, claim, lane, classed)
    local id = claim.is_quarantine and awaited(k, lane)
    if id and call('HEXISTS', k.ops, id) == 1 then return { id } end
    return next_ids(k, lane, claim.operations_max, classed)
end

-- The records of a lane's next operations. Ids without a record are no operations any more.
local function first_records(k, claim, lane, classed)
    local ids = ids_of(k, claim, lane, classed)
    if #ids == 0 then return ids end
    local records, kept = call('HMGET', k.ops, unpack(ids)), {}
    for i, id in ipairs(ids) do
        if records[i] then
            kept[#kept + 1] = records[i]
        else
            for class = 0, classed and 2 or 0 do call('LREM', k.lists[class] .. lane, 1, id) end
        end
    end
    if #kept == 0 then return first_records(k, claim, lane, classed) end
    return kept
end

-- The records of the next operations of lanes {name, tag, …} from the ith on, READ_AHEAD in all or a
-- few more: in one list, and where each lane's end in it. No more is read at once, for a claim may be
-- full before it is used.
local READ_AHEAD = 64

local function read_lanes(k, claim, lanes, i, classed)
    local ids, ends = {}, {}
    while i <= #lanes and #ids < READ_AHEAD do
        for _, id in ipairs(ids_of(k, claim, lanes[i], classed and classed[lanes[i]])) do ids[#ids + 1] = id end
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

-- Gives lanes {name, tag, …}, the nth from the ready ones of classes[n] (without these, of normal), to a
-- processor, within its caps; those beyond its bytes go back. Appends to `answer` each one's name, how
-- many records, and these. -> how many it got
local function give(k, claim, lanes, classes, answer)
    local held, i, classed = {}, 1, classed_of(k, lanes, 1, 2)
    while i <= #lanes and claim.bytes < claim.bytes_max do
        local records, ends = read_lanes(k, claim, lanes, i, classed)
        local first = 1
        for n = 1, #ends do
            if claim.bytes >= claim.bytes_max then break end
            local lane, list, from, bytes = lanes[i], records, first, claim.bytes
            local turns = classed and classed[lane]
            local count = count_fitting(claim, records, first, ends[n])
            if not count then
                claim.bytes, list, from = bytes, first_records(k, claim, lane, turns), 1
                count = count_fitting(claim, list, 1, #list)
            end
            if claim.rules and count > 0 then
                local admitted = control.admit(k, claim, lane, list, from, count)
                if admitted < count then
                    claim.bytes = bytes
                    count = count_fitting(claim, list, from, from + admitted - 1)
                end
            end
            if turns and count > 0 then
                call('HSET', k.classed, lane, (turns:match('^%d+') + count) % TURNS)
            elseif turns and list[from] then
                note_awaited(k, lane, id_of(list[from]))
            end
            if claim.is_quarantine and count > 0 then claim.slots[lane] = control.kept_slot(k, lane, list[from]) end
            if count > 0 then
                local class, slot = classes and classes[(i + 1) / 2] or 0, claim.slots and claim.slots[lane]
                held[#held + 1], held[#held + 2] = lane, held_text(claim.seq, lanes[i + 1], count, class, slot)
                local size = #answer
                answer[size + 1], answer[size + 2] = lane, count
                for at = 1, count do answer[size + 2 + at] = begun(k, list[from + at - 1]) end
            end
            first, i = ends[n] + 1, i + 2
        end
    end
    if #held > 0 then
        in_chunks('HSET', k.base .. 'held:' .. claim.incarnation, held)
        beat(k, claim.incarnation, claim.lease_ms, claim.at_ms)
        if control.has(claim.rules, 'seen') then leave.note_seen(k, held, claim.at_ms) end
    end
    for back = i, #lanes, 2 do
        local class = classes and classes[(back + 1) / 2] or 0
        if claim.called and claim.called[lanes[back]] then
            make_ready(k, lanes[back])
        else
            call('ZADD', k.readies[class], lanes[back + 1], lanes[back])
        end
    end
    return (i - 1) / 2
end

-- The class' virtual time, which was `vt`, becomes that of the newest lane that is served.
local function pop_ready(k, class, most, vt)
    local lanes = call('ZPOPMIN', k.readies[class], most)
    local tag = tonumber(lanes[#lanes] or 0)
    if tag > tonumber(vt or 0) then call('HSET', k.meta, VT[class], format('%.0f', tag)) end
    return lanes
end

-- Takes up to `most` lanes out of those that are ready -> {name, tag, …}, and {class, …}, where they
-- stood: nil for among the normal ones.
local function take_ready(k, most, vt)
    if not has_classes(k) then return pop_ready(k, 0, most, vt) end
    local sizes, lists, lanes = {}, {}, {}
    local meta = call('HMGET', k.meta, 'turn', VT[1], VT[2])
    local times = { [0] = vt, meta[2], meta[3] }
    for class = 0, 2 do sizes[class] = call('ZCARD', k.readies[class]) end
    local classes, counts = take_turns(sizes, tonumber(meta[1] or 0), most)
    for class = 0, 2 do
        lists[class] = counts[class] > 0 and pop_ready(k, class, counts[class], times[class])
        counts[class] = 0
    end
    for n, class in ipairs(classes) do
        local at = counts[class] + 1
        lanes[2 * n - 1], lanes[2 * n] = lists[class][at], lists[class][at + 1]
        counts[class] = at + 1
    end
    return lanes, classes
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

-- The same, but those that stood in line (see limits.lua) and may go come first.
local function next_lanes(k, asked, vt)
    local lanes = asked.rules and control.call_lines(k, asked, vt or '0')
    if not lanes or #lanes == 0 then return take_ready(k, asked.lanes_max, vt) end
    local count = #lanes / 2
    local popped, popped_classes = take_ready(k, asked.lanes_max - count, vt)
    local classes = popped_classes and {}
    for n = 1, classes and count or 0 do classes[n] = 0 end
    for i = 1, #popped do lanes[2 * count + i] = popped[i] end
    for n = 1, classes and #popped / 2 or 0 do classes[count + n] = popped_classes[n] end
    return lanes, classes
end

-- INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS -> [next due ms or -1, halted lanes, 1 where none is left, lane, n, n records, …]
-- A processor that found the last ready lane is woken when there are more.
function claim(k, args)
    local asked, problem = read_claim(args)
    if problem then return problem end
    local is_all = true
    asked.rules = control.rules_of(k)
    if asked.rules and control.is_stopped(k, asked.rules) then return claim_nothing(k, asked) end
    if asked.rules then control.begin(asked) end

    wake_waiting(k, asked.lanes_max, asked.at_ms)
    local next_entry_ms = enter_due(k, asked.at_ms)
    if control.has(asked.rules, 'freed') then is_all = control.wake_freed(k, asked.lanes_max) end
    if control.has(asked.rules, 'count') then is_all = control.count_old(k) and is_all end
    if control.has(asked.rules, 'sweep') then is_all = control.sweep(k) and is_all end
    local lanes, classes = next_lanes(k, asked, call('HGET', k.meta, 'vt'))
    local answer = { -1, 0, 0 }
    if #lanes > 0 then
        local given = give(k, asked, lanes, classes, answer)
        if classes then call('HINCRBY', k.meta, 'turn', given) end
        is_all = is_all and 2 * given == #lanes
    end
    if asked.rules then control.finish(k, asked) end
    if is_all and #lanes < 2 * asked.lanes_max then
        call('SADD', k.idle, asked.incarnation)
        -- Before its first beat, too: who is not known to live is never found dead, nor forgotten.
        call('ZADD', k.beats, 'NX', asked.at_ms + asked.lease_ms, asked.incarnation)
        local next_due = call('ZRANGE', k.waiting, 0, 0, 'WITHSCORES')
        local next_ms = math.min(tonumber(next_due[2]) or FAR_MS, next_entry_ms or FAR_MS,
            asked.rules and control.next_line_ms(k) or FAR_MS)
        if next_ms < FAR_MS then answer[1] = math.max(math.ceil(next_ms - asked.at_ms), 0) end
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
    if known.suspect then
        -- What had begun comes to its end, whatever is said of it since; nothing else does.
        asked.rules, asked.operations_max, asked.is_quarantine = false, 1, true
        control.begin(asked)
    elseif asked.rules and control.is_stopped(k, asked.rules) then
        return { '0', 0, 0 }
    elseif asked.rules then
        control.begin(asked)
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
        if give(k, asked, lanes, nil, answer) < #names then wake(k, 1) end
        if asked.rules then control.finish(k, asked) end
    end
    return answer
end

end
