-- The journal's cache: what Redis has lost, and putting it back.

-- ID… -> those that partition P does not know as queued
local function missing(k, args)
    local absent = {}
    for _, id in ipairs(args) do
        if call('HEXISTS', k.ops, id) == 0 then absent[#absent + 1] = id end
    end
    return absent
end

local function is_somewhere(k, lane)
    if call('ZSCORE', k.ready, lane) or call('ZSCORE', k.waiting, lane)
        or call('HEXISTS', k.halted, lane) == 1 then
        return true
    end
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        if call('HEXISTS', k.base .. 'held:' .. incarnation, lane) == 1 then return true end
    end
    return false
end

-- The operations of a rebuild, from args[2] on: OP THREAD PAYLOAD ID ATTEMPTS N and N pairs OPTION VALUE each.
local function read_entries(args)
    local entries, i = {}, 2
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
    return args[1] and entries
end

-- LANE and the first operations of the lane that the journal says have not ended, in its order. Those that
-- Redis has lost come back, and all up to the last of them go to the lane's front; every other operation keeps
-- its place. -> how many were missing
local function rebuild(k, args)
    local lane, at_us = args[1], now()
    local entries = read_entries(args)
    if not entries then
        return refuse('invalid', 'expected LANE [OP THREAD PAYLOAD ID ATTEMPTS N [OPTION VALUE]...]...')
    end
    local key, front, is_queued = k.lane .. lane, {}, {}
    local last, absent, place = 0, 0, -1
    for n, o in ipairs(entries) do
        local id = o.id
        front[n] = id
        local is_known = call('HEXISTS', k.ops, id) == 1
        local found = is_known and call('LPOS', key, id, 'MAXLEN', REBUILD_DEPTH)
        if is_known and not found and call('LPOS', key, id) then break end
        if found then
            -- An order that differs from the journal's is mended as a loss is.
            is_queued[n] = true
            if found < place then last = n else place = found end
        else
            call('HSET', k.ops, id, record_of(o, at_us))
            last, absent = n, absent + 1
        end
    end
    for i = last, 1, -1 do
        if is_queued[i] then call('LREM', key, 1, front[i]) end
        call('LPUSH', key, front[i])
    end
    if call('EXISTS', key) == 1 and not is_somewhere(k, lane) then
        make_ready(k, lane)
    elseif call('ZREM', k.waiting, lane) == 1 then
        make_ready(k, lane)
    end
    return absent
end
