-- The journal's cache: what Redis has lost, and putting it back.

local missing, places_of, rebuild, halts, look

do

-- ID… -> those that partition P does not know as queued
function missing(k, args)
    local absent = {}
    for _, id in ipairs(args) do
        if call('HEXISTS', k.ops, id) == 0 then absent[#absent + 1] = id end
    end
    return absent
end

-- Where a lane is: {name, remove} of each collection that has it, the one that binds most first.
function places_of(k, lane)
    local places = {}
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        local name = 'held:' .. incarnation
        if call('HEXISTS', k.base .. name, lane) == 1 then
            places[#places + 1] = { name = name, remove = 'HDEL' }
        end
    end
    if call('HEXISTS', k.halted, lane) == 1 then places[#places + 1] = { name = 'halted', remove = 'HDEL' } end
    if call('ZSCORE', k.waiting, lane) then places[#places + 1] = { name = 'waiting', remove = 'ZREM' } end
    for class = 0, has_classes(k) and 2 or 0 do
        if call('ZSCORE', k.readies[class], lane) then
            places[#places + 1] = { name = sub(k.readies[class], #k.base + 1), remove = 'ZREM' }
        end
    end
    return places
end

-- The place of each of the REBUILD_DEPTH ids behind `anchor`, or from the front on where there is
-- none, and how many ids stand before those.
local function places_behind(key, anchor)
    local place = anchor and call('LPOS', key, anchor, 'RANK', -1)
    local before, places = place and place + 1 or 0, {}
    for n, id in ipairs(call('LRANGE', key, before, before + REBUILD_DEPTH - 1)) do places[id] = n end
    return places, before
end

local function insert_behind(key, anchor, id)
    if not anchor then
        call('LPUSH', key, id)
    elseif call('LINDEX', key, -1) == anchor then
        call('RPUSH', key, id)
    else
        call('LINSERT', key, 'AFTER', anchor, id)
    end
end

-- The operations of a rebuild, from args[3] on: OP THREAD PAYLOAD ID ATTEMPTS N and N pairs OPTION VALUE each.
local function read_entries(args)
    local entries, i = {}, 3
    while i <= #args do
        local pairs_count = tonumber(args[i + 5])
        if not pairs_count or i + 5 + 2 * pairs_count > #args then return nil end
        local o = { user = args[1], op = args[i], thread = args[i + 1], payload = args[i + 2], id = args[i + 3],
            trace = '', journal = true, attempt = tonumber(args[i + 4]) }
        for at = i + 6, i + 5 + 2 * pairs_count, 2 do
            if read_option(o, args[at], args[at + 1]) then return nil end
        end
        entries[#entries + 1] = o
        i = i + 6 + 2 * pairs_count
    end
    return args[2] and entries
end

-- LANE AFTER and operations of one class of the lane that the journal says have not ended, in its order: the
-- next ones behind the operation AFTER, or the first ones where it is ''. Each that Redis has lost, or that
-- stands before another that comes first, goes behind the one before it; every other operation keeps
-- its place. -> [how many were missing, how many were looked at]
function rebuild(k, args)
    local lane, at_us, rules = args[1], now(), control.rules_of(k)
    local entries = read_entries(args)
    if not entries then
        return refuse('invalid', 'expected LANE AFTER [OP THREAD PAYLOAD ID ATTEMPTS N [OPTION VALUE]...]...')
    end
    local class = entries[1] and class_asked(entries[1]) or 0
    local key, anchor = k.lists[class] .. lane, args[2] ~= '' and args[2]
    -- One that is not there any more has ended, and with it all that was before.
    if anchor and not call('LPOS', key, anchor, 'RANK', -1) then anchor = false end
    local places, before = places_behind(key, anchor)
    local absent, looked_at, place = 0, 0, 0
    for _, o in ipairs(entries) do
        local id = o.id
        local is_known, found = call('HEXISTS', k.ops, id) == 1, places[id]
        local deep = is_known and not found and call('LPOS', key, id)
        looked_at = looked_at + 1
        -- Beyond what was read there is nothing that it could have overtaken.
        if deep and deep >= before then break end
        if found and found > place then
            place = found
        else
            if not is_known then
                call('HSET', k.ops, id, record_of(o, at_us))
                control.count(k, rules, o)
                take_wish(k, id)
            end
            if found or deep then
                call('LREM', key, 1, id)
            else
                absent = absent + 1
            end
            insert_behind(key, anchor, id)
        end
        anchor = id
    end
    if class > 0 and call('EXISTS', key) == 1 then note_class(k, lane) end
    if has_classes(k) then turn_lane(k, lane) end
    if call('EXISTS', key) == 1 and #places_of(k, lane) == 0 then
        make_ready(k, lane)
    elseif args[2] == '' and end_wait(k, { lane }) == 1 then
        make_ready(k, lane)
    end
    return { absent, looked_at }
end

-- CURSOR -> [next cursor, lane, id of the operation that halts it, reason, …]: some of the lanes that wait for a decision
function halts(k, args)
    local page = call('HSCAN', k.halted, args[1], 'COUNT', 100)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        local lane, reason = page[2][i], page[2][i + 1]
        local id = reason ~= 'suspect' and awaited(k, lane)
        if id then
            local n = #answer
            answer[n + 1], answer[n + 2], answer[n + 3] = lane, id, reason
        end
    end
    return answer
end

-- LANE…: those that wait for a decision look at that operation once more
function look(k, args)
    for _, lane in ipairs(args) do
        local reason = call('HGET', k.halted, lane)
        if reason and reason ~= 'suspect' then
            call('HDEL', k.halted, lane)
            make_ready(k, lane)
        end
    end
    return redis.status_reply('OK')
end

end
