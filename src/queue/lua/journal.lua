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

-- LANE, then OP THREAD PAYLOAD ID for each of the first operations of the lane that the journal says have
-- not ended, in its order. Those that Redis has lost come back, and all up to the last of them go to the lane's front;
-- every other operation keeps its place. -> how many were missing
local function rebuild(k, args)
    local lane, at_us = args[1], now()
    if not lane or (#args - 1) % 4 ~= 0 then return refuse('invalid', 'expected LANE [OP THREAD PAYLOAD ID]...') end
    local key, front, is_queued = k.lane .. lane, {}, {}
    local last, absent, place = 0, 0, -1
    for i = 2, #args, 4 do
        local id = args[i + 3]
        local n = #front + 1
        front[n] = id
        local is_known = call('HEXISTS', k.ops, id) == 1
        local found = is_known and call('LPOS', key, id, 'MAXLEN', REBUILD_DEPTH)
        if is_known and not found and call('LPOS', key, id) then break end
        if found then
            -- An order that differs from the journal's is mended as a loss is.
            is_queued[n] = true
            if found < place then last = n else place = found end
        else
            local o = { user = lane, op = args[i], thread = args[i + 1], payload = args[i + 2], id = id,
                trace = '', journal = true }
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
