-- Checking: what contradicts the invariants, found and mended page by page. Each judgement and its
-- mending are one call, so work that is on its way is never taken for damage. REPAIRS is 1 where the
-- damage is mended, 0 where it is only told.

local check_members, check_lane, check_ids, check_record, check_wish

do

local STALE_MS, AHEAD_MS, CHECK_COUNT, PLACE_COUNT, PLACE_OVERLAP = 60000, 3600000, 100, 256, 16
local SCANS = {
    ready = { 'ZSCAN', 'ZREM' }, waiting = { 'ZSCAN', 'ZREM' }, scheduled = { 'ZSCAN', 'ZREM' },
    beats = { 'ZSCAN', 'ZREM' }, idle = { 'SSCAN', 'SREM' }, line = { 'ZSCAN', 'ZREM' }, busy = { 'SSCAN', 'SREM' },
}

-- Long over, and nobody has taken over; or given by a clock that has gone back since.
local function is_stale_beat(expires_ms)
    local at_ms = now_ms()
    return expires_ms < at_ms - STALE_MS or expires_ms > at_ms + AHEAD_MS
end

local function is_stale_idle(k, incarnation)
    return not call('ZSCORE', k.beats, incarnation)
        and call('PUBSUB', 'NUMSUB', 'heddle:wake:' .. incarnation)[2] == 0
end

-- A slot is used by a lane that is claimed, or that a suspect stands in.
local function uses_slot(k, lane)
    local place = places_of(k, lane)[1]
    return place and (find(place.name, '^held:') or call('HGET', k.halted, lane) == 'suspect')
end

-- What is wrong with a member of a collection; nil where nothing is.
local function fault_of(k, collection, holder, member, value)
    local kind, name = collection:match('^(%l+):(.*)$')
    if kind == 'line' then return call('HGET', k.waits, member) ~= name and 'stray_in_line' end
    if kind == 'busy' then return not uses_slot(k, member) and 'stray_slot' end
    if collection == 'beats' then return is_stale_beat(tonumber(value)) and 'stale_beat' end
    if collection == 'idle' then return is_stale_idle(k, member) and 'stale_idle' end
    if collection == 'waits' then return not call('ZSCORE', k.waiting, member) and 'stray_reason' end
    if collection == 'waiting' and has_operations(k, member) then
        return not control.is_expected(k, member, value) and 'endless_wait'
    end
    if collection == 'scheduled' then return call('HEXISTS', k.ops, member) == 0 and 'ghost' end
    if collection == 'uniques' then
        return call('HEXISTS', k.ops, member) == 0 and call('PTTL', value) < 0 and 'stray_key'
    end
    if collection == 'counted' then return call('HEXISTS', k.ops, member) == 0 and 'stray_count' end
    if collection == 'replies' then return call('HEXISTS', k.ops, member) == 0 and 'stray_wish' end
    if holder and not call('ZSCORE', k.beats, holder) then return 'orphan_claim' end
    return not has_operations(k, member) and 'ghost'
end

-- COLLECTION CURSOR REPAIRS -> [next cursor, member, what is wrong with it, …]. The lanes of a stale
-- beat's processor are orphan claims then; stray wishes are heddle_check_wish's.
function check_members(k, args)
    local collection, cursor, repairs = args[1], args[2], args[3] == '1'
    local scan, key = SCANS[collection:match('^%l+')] or { 'HSCAN', 'HDEL' }, k.base .. collection
    local holder = collection:match('^held:(.*)$')
    local page, step = call(scan[1], key, cursor, 'COUNT', CHECK_COUNT), scan[1] == 'SSCAN' and 1 or 2
    local answer = { page[1] }
    for i = 1, #page[2], step do
        local member, value = page[2][i], page[2][i + 1]
        local fault = fault_of(k, collection, holder, member, value)
        if fault then
            answer[#answer + 1], answer[#answer + 2] = member, fault
            if repairs and fault == 'orphan_claim' then
                free_lane(k, holder, member, value)
            elseif repairs and fault == 'stale_beat' and tonumber(value) > now_ms() then
                -- Whoever lives beats again before that.
                call('ZADD', key, now_ms() + STALE_MS, member)
            elseif repairs and fault == 'endless_wait' then
                end_wait(k, { member })
                make_ready(k, member)
            elseif repairs and (fault == 'stray_key' or fault == 'stray_count') then
                depart(k, { member }, {})
            elseif repairs and fault == 'stray_slot' then
                control.free_slot(k, collection:match(':(.*)$'), member)
            elseif repairs and fault ~= 'stray_wish' then
                call(scan[2], key, member)
            end
        end
    end
    return answer
end

-- The class of a list in which a lane has operations that nobody asks for; nil where there is none.
local function unclassed(k, lane)
    if call('HEXISTS', k.classed, lane) == 1 then return nil end
    for class = 1, 2 do
        if call('EXISTS', k.lists[class] .. lane) == 1 then return class end
    end
end

-- What is wrong with a lane and where it is; '' where nothing is. Of several places the first stays:
-- its holder is at work, and who waits for more than a processor waits for a reason.
local function judge_lane(k, lane, dead_holders, repairs)
    local lost = unclassed(k, lane)
    if lost then
        if repairs then
            note_class(k, lane)
            turn_lane(k, lane)
            if #places_of(k, lane) == 0 then make_ready(k, lane) end
        end
        return 'class_lost', 'not known to have any in ' .. sub(k.lists[lost], #k.base + 1, -2)
    end
    local exists, places, names = has_operations(k, lane), places_of(k, lane), {}
    for i, place in ipairs(places) do names[i] = place.name end
    if exists and #places == 0 then
        for _, holder in ipairs(dead_holders) do
            if call('HEXISTS', k.base .. 'held:' .. holder, lane) == 1 then return '', '' end
        end
        if repairs then make_ready(k, lane) end
        return 'ready_lost', 'in no state'
    end
    local kept = exists and 1 or 0
    if #places <= kept then return '', '' end
    if repairs then
        for i = kept + 1, #places do call(places[i].remove, k.base .. places[i].name, lane) end
    end
    return exists and 'two_states' or 'ghost', 'in ' .. table.concat(names, ', ')
end

local function first_list(k, lane)
    for class = 0, 2 do
        if call('EXISTS', k.lists[class] .. lane) == 1 then return k.lists[class] .. lane end
    end
end

-- REPAIRS LIST FROM HOLDER…: some ids of a lane's list (lane:LANE, say), those behind its FROM newest ones,
-- and, once all were seen, the lane itself. The HOLDERs' claims are told elsewhere.
-- -> [next FROM or 0, what is wrong with the lane or '', where it is, [ids without a record], [ids], 1 where
-- the list is the lane's first]
function check_lane(k, args)
    local repairs, list, from = args[1] == '1', args[2], tonumber(args[3])
    local lane = list and list:match('^%l+:(.*)$')
    if not from or not lane then return refuse('invalid', 'expected REPAIRS LIST FROM [HOLDER]...') end
    local key, bare, kept = k.base .. list, {}, {}
    local ids = call('LRANGE', key, -from - 10 * CHECK_COUNT, -from - 1)
    for i = #ids, 1, -1 do
        local list = call('HEXISTS', k.ops, ids[i]) == 1 and kept or bare
        list[#list + 1] = ids[i]
        if repairs and list == bare then call('LREM', key, -1, ids[i]) end
    end
    if #ids == 10 * CHECK_COUNT then
        return { from + (repairs and #kept or #ids), '', '', bare, kept }
    end
    if #bare > 0 and repairs and has_classes(k) then
        forget_class(k, lane)
        turn_lane(k, lane)
    end
    local fault, places = judge_lane(k, lane, { unpack(args, 4) }, repairs)
    return { 0, fault, places, bare, kept, key == first_list(k, lane) and 1 or 0 }
end

-- CURSOR -> [next cursor, id…]: operations that have not ended
function check_ids(k, args)
    local page = call('HSCAN', k.ops, args[1], 'COUNT', CHECK_COUNT)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do answer[#answer + 1] = page[2][i] end
    return answer
end

-- The number of the oldest, or with `step` -1 of the newest of these operations that is direct and was
-- submitted by then; nil where there is none. Those of the journal are passed over: their place is
-- the journal's affair.
local function find_direct(k, ids, step, at_us)
    for i = step > 0 and 1 or #ids, step > 0 and #ids or 1, step do
        local record = call('HGET', k.ops, ids[i])
        if record and not has_flag(record, FLAG_JOURNAL) then
            if submitted_at(record) <= at_us then return i end
            if step > 0 then return nil end
        end
    end
end

-- Puts an operation that stands in no lane behind the last one that was submitted before it; looks at
-- some, from the FROM newest on. -> next FROM, 0 where it has its place now, nil where it had one
local function put_back(k, lane, id, record, from)
    local class = class_of(record)
    local key, at_us = k.lists[class] .. lane, submitted_at(record)
    local ids = call('LRANGE', key, -from - PLACE_COUNT, -from - 1)
    local is_here = find_direct(k, ids, 1, at_us)
    -- What leaves the lane meanwhile moves the others by less than the overlap.
    if not is_here and #ids == PLACE_COUNT then return from + PLACE_COUNT - PLACE_OVERLAP end
    -- The first look at the lane is some calls ago.
    if from > 0 and call('LPOS', key, id) then return nil end
    local before = is_here and ids[find_direct(k, ids, -1, at_us)]
    if before then call('LINSERT', key, 'AFTER', before, id) else call('LPUSH', key, id) end
    if class > 0 then note_class(k, lane) end
    if has_classes(k) then turn_lane(k, lane) end
    if #places_of(k, lane) == 0 then make_ready(k, lane) end
    return 0
end

-- ID FROM REPAIRS: an operation in none of the lanes that were looked through, perhaps because it has
-- ended or moved meanwhile. One of the journal is forgotten here, so that the journal puts it back.
-- -> [its lane, or nil where all is well; next FROM, 0 where that was all]
function check_record(k, args)
    local id, from, repairs = args[1], tonumber(args[2]), args[3] == '1'
    if not from then return refuse('invalid', 'expected ID FROM REPAIRS') end
    local record = call('HGET', k.ops, id)
    local lane = record and user_of(record)
    if not record or from == 0
        and (call('LPOS', k.lists[class_of(record)] .. lane, id) or call('ZSCORE', k.scheduled, id)) then
        return { false, 0 }
    end
    if not repairs then return { lane, 0 } end
    if has_flag(record, FLAG_JOURNAL) then
        call('HDEL', k.ops, id)
        return { lane, 0 }
    end
    local next_from = put_back(k, lane, id, record, from)
    return { next_from and lane or false, next_from or 0 }
end

-- ID RESULT_TTL_MS RESULT REPAIRS: a reply that is wanted of an operation that has ended, with RESULT,
-- or '' where nobody knows it. -> 1 where it was still wanted
function check_wish(k, args)
    local id, ttl_ms, result, repairs = args[1], tonumber(args[2]), args[3], args[4] == '1'
    if not ttl_ms or not result then return refuse('invalid', 'expected ID RESULT_TTL_MS RESULT REPAIRS') end
    local count = tonumber(call('HGET', k.replies, id) or '')
    if not count or call('HEXISTS', k.ops, id) == 1 then return 0 end
    if repairs then
        if result ~= '' and count > 0 then push_reply(k, id, result, count, ttl_ms) end
        call('HDEL', k.replies, id)
    end
    return 1
end

end
