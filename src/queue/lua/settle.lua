-- Settling: ended operations leave, the lane goes on.

-- INCARNATION RESULT_TTL_MS R P, then R times ID ENTRY: results (see results.lua), then P times ID:
-- operations that are parked, which have not ended but leave their lane; then for each lane LANE SEQ
-- DISPOSITION COST_US N and N IDs. Dispositions: keep, release, "wait MS", "pause MS" (which charges the
-- next operation no attempt), "halt REASON". A lane may come several times.
local SETTLE_HEAD = 4
local DISPOSITIONS = { keep = '^$', release = '^$', wait = '^%d+$', pause = '^%d+$', halt = '' }

-- Where each lane stands: {first argument, how many ids, …}; nil where they make no sense.
local function places_of_lanes(args, first)
    local places, i = {}, first
    while i <= #args do
        local kind, count = args[i + 2], tonumber(args[i + 4] or '')
        if not count or not tonumber(args[i + 3]) or count < 0 or count % 1 ~= 0 or i + 4 + count > #args then
            return nil
        end
        if kind ~= 'release' and kind ~= 'keep' then
            local name, argument = kind:match('^(%l+) ?(.*)$')
            if not DISPOSITIONS[name] or not find(argument, DISPOSITIONS[name]) then return nil end
        end
        places[#places + 1], places[#places + 2] = i, count
        i = i + 5 + count
    end
    return places
end

-- {head of the call, its lanes}; nil where they make no sense.
local function read_settlements(args)
    local ttl_ms, results, parked = tonumber(args[2] or ''), tonumber(args[3] or ''), tonumber(args[4] or '')
    if not ttl_ms or not results or not parked or results < 0 or parked < 0 then return nil end
    local first_parked = SETTLE_HEAD + 2 * results + 1
    local places = first_parked + parked - 1 <= #args and places_of_lanes(args, first_parked + parked)
    if not places then return nil end
    local head = { incarnation = args[1], ttl_ms = ttl_ms, entries = {}, parked = {} }
    for i = SETTLE_HEAD + 1, first_parked - 1, 2 do head.entries[args[i]] = args[i + 1] end
    for i = first_parked, first_parked + parked - 1 do head.parked[args[i]] = true end
    return head, places
end

-- Takes finished operations out of their lane, by id. They are its first ones, but for what others
-- did to the lane meanwhile; a settlement that is repeated after a lost answer finds none.
local function remove_from_lane(k, lane, ids)
    local key = k.lane .. lane
    local popped = call('LPOP', key, #ids)
    local wanted
    for i = 1, popped and #popped or 0 do
        if popped[i] ~= ids[i] then wanted = true end
    end
    if not wanted and popped and #popped == #ids then return #ids end
    local removed = 0
    wanted = {}
    for _, id in ipairs(ids) do wanted[id] = true end
    for i = popped and #popped or 0, 1, -1 do
        if wanted[popped[i]] then
            wanted[popped[i]], removed = nil, removed + 1
        else
            call('LPUSH', key, popped[i])
        end
    end
    for id in pairs(wanted) do removed = removed + call('LREM', key, 1, id) end
    return removed
end

-- Results of operations that have ended here are kept, and go to those who asked. Returns ids whose
-- result is wanted and did not come along.
local function answer_replies(k, head, ids)
    local fields, late = {}, {}
    if next(head.entries) then
        for _, id in ipairs(ids) do
            local entry = head.entries[id]
            if entry then fields[#fields + 1], fields[#fields + 2] = id, entry end
        end
        if #fields > 0 then keep_results(k, fields, head.ttl_ms) end
    end
    if call('EXISTS', k.replies) == 0 then return late end
    for from = 1, #ids, UNPACK_MAX do
        local counts = call('HMGET', k.replies, unpack(ids, from, math.min(from + UNPACK_MAX - 1, #ids)))
        for i, count in ipairs(counts) do
            local id = ids[from + i - 1]
            local entry = head.entries[id]
            if not count or head.parked[id] then
                -- Nobody waits, or goes on waiting: it comes back.
            elseif entry then
                push_reply(k, id, text_of_entry(id, entry), tonumber(count), head.ttl_ms)
                call('HDEL', k.replies, id)
            else
                late[#late + 1] = id
            end
        end
    end
    return late
end

-- A lane with operations whose next one has to wait, for a time or for somebody.
local function stop(k, lane, disposition, tag)
    local kind, argument = disposition:match('^(%l+) ?(.*)$')
    local head = call('LINDEX', k.lane .. lane, 0)
    local record = call('HGET', k.ops, head)
    local looks = record and has_flag(record, FLAG_LOOK)
    if record and kind == 'wait' then record = attempted(record) end
    if looks or (record and kind == 'wait') then call('HSET', k.ops, head, unflagged(record, FLAG_LOOK)) end
    if looks then
        make_ready(k, lane, tag)
    elseif kind == 'halt' then
        call('HSET', k.halted, lane, argument)
    else
        call('ZADD', k.waiting, now_ms() + tonumber(argument), lane)
        -- Who sleeps until another lane is due has to hear of an earlier one.
        if call('ZRANK', k.waiting, lane) == 0 then wake(k, 1) end
    end
end

-- The claims that lanes are of by now: lane -> "seq:tag:count", false where it is not the processor's.
local function claims_of(k, held, args, places)
    local names, claims = {}, {}
    for i = 1, #places, 2 do names[#names + 1] = args[places[i]] end
    for from = 1, #names, UNPACK_MAX do
        local found = call('HMGET', held, unpack(names, from, math.min(from + UNPACK_MAX - 1, #names)))
        for i, claimed in ipairs(found) do claims[names[from + i - 1]] = claimed end
    end
    return claims
end

-- Settles a lane of args[at] on whose claim is "seq:tag:count" with these ids; returns what its claim is
-- then, and for one that is ready its tag.
local function settle_lane(k, lane, claimed, disposition, cost_us, ids)
    local seq, tag, count = claimed:match('^(%d+):(%d+):(%d+)$')
    local removed = #ids > 0 and remove_from_lane(k, lane, ids) or 0
    tag = tonumber(tag) + cost_us
    if disposition == 'keep' then
        return held_text(seq, tag, tonumber(count) - removed)
    elseif call('EXISTS', k.lane .. lane) == 0 then
        return false
    elseif disposition == 'release' then
        return false, tag
    end
    stop(k, lane, disposition, tag)
    return false
end

-- -> [[lanes that were no longer the processor's], [ids whose result is still wanted: see heddle_reply]]
local function settle(k, args)
    local head, places = read_settlements(args)
    if not head then
        return refuse('invalid', 'expected INCARNATION RESULT_TTL_MS R P [ID ENTRY]... [ID]... and lanes')
    end
    local held = k.base .. 'held:' .. head.incarnation
    local claims = claims_of(k, held, args, places)
    local lost, ended, released, ready, tags = {}, {}, {}, {}, {}
    for n = 1, #places, 2 do
        local at, last = places[n], places[n] + 4 + places[n + 1]
        local lane, seq, disposition = args[at], args[at + 1], args[at + 2]
        local claimed = claims[lane]
        if not claimed or sub(claimed, 1, #seq + 1) ~= seq .. ':' then
            lost[#lost + 1] = lane
        else
            local ids = { unpack(args, at + 5, last) }
            local after, tag = settle_lane(k, lane, claimed, disposition, tonumber(args[at + 3]), ids)
            for _, id in ipairs(ids) do ended[#ended + 1] = id end
            claims[lane] = after
            if after then call('HSET', held, lane, after) else released[#released + 1] = lane end
            if tag then ready[#ready + 1], tags[#tags + 1] = lane, tag end
        end
    end
    in_chunks('HDEL', held, released)
    if #ready > 0 then make_all_ready(k, ready, tags) end
    local late = #ended > 0 and answer_replies(k, head, ended) or {}
    in_chunks('HDEL', k.ops, ended)
    return { lost, late }
end

-- RESULT_TTL_MS, then ID RESULT …: results for replies that were asked for while the operation ran.
local function reply(k, args)
    local ttl_ms = tonumber(args[1])
    if not ttl_ms or #args % 2 ~= 1 then return refuse('invalid', 'expected RESULT_TTL_MS [ID RESULT]...') end
    for i = 2, #args, 2 do
        local count = tonumber(call('HGET', k.replies, args[i]) or 0)
        if count > 0 then push_reply(k, args[i], args[i + 1], count, ttl_ms) end
        call('HDEL', k.replies, args[i])
    end
    return redis.status_reply('OK')
end
