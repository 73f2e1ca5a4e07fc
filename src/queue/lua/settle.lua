-- Settling: ended operations leave, the lane goes on.

local settle, reply

do

-- INCARNATION RESULT_TTL_MS R P, then R times ID ENTRY: results (see results.lua), then P times ID:
-- operations that are parked, which have not ended but leave their lane; then for each lane LANE SEQ
-- DISPOSITION COST_US N and N IDs. Dispositions: keep, release, and with the operation that the lane stops
-- for, or without: its first one, "wait MS [ID]", "pause MS [ID]" (which charges it no attempt), "halt REASON
-- [ID]". A lane may come several times.
local SETTLE_HEAD = 4
local DISPOSITIONS = { keep = '^$', release = '^$', wait = '^%d+$', pause = '^%d+$', halt = '' }

-- kind, argument, id; nil where it makes no sense.
local function read_disposition(text)
    local kind, argument = text:match('^(%l+) ?(.*)$')
    local pattern = DISPOSITIONS[kind]
    local id = pattern and find(sub(argument, -ID_SIZE), UUID) and sub(argument, -ID_SIZE)
    if id then argument = sub(argument, 1, -ID_SIZE - 2) end
    if not pattern or not find(argument, pattern) then return nil end
    return kind, argument, id
end

-- Where each lane stands: its first argument and its last id; nil where they make no sense.
local function read_lanes_settled(args, first)
    local starts, ends, i = {}, {}, first
    while i <= #args do
        local kind, count = args[i + 2], tonumber(args[i + 4] or '')
        if not count or not tonumber(args[i + 3]) or count < 0 or count % 1 ~= 0 or i + 4 + count > #args then
            return nil
        end
        if kind ~= 'release' and kind ~= 'keep' and not read_disposition(kind) then return nil end
        local n = #starts + 1
        starts[n], ends[n] = i, i + 4 + count
        i = i + 5 + count
    end
    return starts, ends
end

-- The call as it is written; nil where it makes no sense.
local function read_settlements(args)
    local s = { incarnation = args[1], ttl_ms = tonumber(args[2] or ''), results = SETTLE_HEAD + 1, parked = {} }
    local results, parked = tonumber(args[3] or ''), tonumber(args[4] or '')
    if not s.ttl_ms or not results or not parked or results < 0 or parked < 0 then return nil end
    s.results_end = SETTLE_HEAD + 2 * results
    if s.results_end + parked > #args then return nil end
    for i = s.results_end + 1, s.results_end + parked do s.parked[args[i]] = true end
    s.starts, s.ends = read_lanes_settled(args, s.results_end + parked + 1)
    return s.starts and s
end

-- Takes those of the wanted ids out of a lane that were popped; the others go back. -> how many were there
local function keep_unwanted(key, wanted, popped)
    local removed = 0
    for i = #popped, 1, -1 do
        if wanted[popped[i]] then
            wanted[popped[i]], removed = nil, removed + 1
        else
            call('LPUSH', key, popped[i])
        end
    end
    return removed
end

local function set_of(ids, first, last)
    local set = {}
    for i = first, last do set[ids[i]] = true end
    return set
end

-- As remove_from_lane, where the lane has operations of several classes.
local function remove_from_classes(k, lane, args, first, last)
    local wanted, removed = set_of(args, first, last), 0
    for class = 0, 2 do
        local key = k.lists[class] .. lane
        removed = removed + keep_unwanted(key, wanted, call('LPOP', key, last - first + 1) or {})
    end
    for id in pairs(wanted) do
        local record = call('HGET', k.ops, id)
        if record then removed = removed + call('LREM', k.lists[class_of(record)] .. lane, 1, id) end
    end
    forget_class(k, lane)
    return removed, has_operations(k, lane)
end

-- Takes finished operations, args[first] to args[last], out of their lane, by id. They are its first
-- ones, but for what others did to the lane meanwhile; a settlement that is repeated after a lost
-- answer finds none. One more is popped, to see whether any are left. -> how many were there, whether
-- there are more
local function remove_from_lane(k, lane, args, first, last)
    local key, count = k.lane .. lane, last - first + 1
    local popped = call('LPOP', key, count + 1) or {}
    for i = 1, count do
        if popped[i] ~= args[first + i - 1] then
            local wanted = set_of(args, first, last)
            local removed = keep_unwanted(key, wanted, popped)
            for id in pairs(wanted) do removed = removed + call('LREM', key, 1, id) end
            return removed, call('EXISTS', key) == 1
        end
    end
    local behind = popped[count + 1]
    if behind then call('LPUSH', key, behind) end
    return count, behind ~= nil
end

-- A lane with operations one of which has to wait, for a time or for somebody.
local function stop(k, lane, disposition, tag, class)
    local kind, argument, id = read_disposition(disposition)
    local first = call('LINDEX', k.lane .. lane, 0)
    id = id or first or awaited(k, lane)
    local record = call('HGET', k.ops, id)
    local looks = record and has_flag(record, FLAG_LOOK)
    if record and kind == 'wait' then record = attempted(record) end
    if looks or (record and kind == 'wait') then call('HSET', k.ops, id, unflagged(record, FLAG_LOOK)) end
    if looks then
        make_ready(k, lane, tag, class)
        return
    end
    if id ~= first then note_awaited(k, lane, id) end
    if kind == 'halt' then
        call('HSET', k.halted, lane, argument)
    else
        call('ZADD', k.waiting, now_ms() + tonumber(argument), lane)
        -- Who sleeps until another lane is due has to hear of an earlier one.
        if call('ZRANK', k.waiting, lane) == 0 then wake(k, 1) end
    end
end

-- lane -> text of its claim (see library.lua), false where it is not the processor's; and what `classed` says.
local function claims_of(k, held, s, args)
    local names, claims = {}, {}
    for n, at in ipairs(s.starts) do names[n] = args[at] end
    for from = 1, #names, UNPACK_MAX do
        local found = call('HMGET', held, unpack(names, from, math.min(from + UNPACK_MAX - 1, #names)))
        for n, claimed in ipairs(found) do claims[names[from + n - 1]] = claimed end
    end
    return claims, classed_of(k, names, 1, 1)
end

-- Settles a lane with this claim, args[at] to args[last] -> what its claim is then, false where it has
-- none any more; and where it is ready, its tag, and the class of that.
local function settle_lane(k, claimed, args, at, last, has_others)
    local lane, disposition = args[at], args[at + 2]
    local remove = has_others and remove_from_classes or remove_from_lane
    local removed, has_more = remove(k, lane, args, at + 5, last)
    local seq, tag, count, class, slot = read_held(claimed)
    if slot and (removed > 0 or disposition ~= 'keep') then slot = control.free_slot(k, slot, lane) end
    if not has_more and disposition ~= 'keep' then return false end
    tag = tag + args[at + 3]
    if disposition == 'keep' then return held_text(seq, format('%d', tag), count - removed, class, slot) end
    if disposition == 'release' then return false, tag, class end
    stop(k, lane, disposition, tag, class)
    return false
end

-- Settles the lanes that are still the processor's -> those that are not, and ids that have left theirs
local function settle_lanes(k, s, args)
    local held = k.base .. 'held:' .. s.incarnation
    local claims, classed = claims_of(k, held, s, args)
    local lost, ended, released, ready, tags, classes = {}, {}, {}, {}, {}, {}
    for n, at in ipairs(s.starts) do
        local lane, last = args[at], s.ends[n]
        local claimed = claims[lane]
        if not claimed or find(claimed, args[at + 1] .. ':', 1, true) ~= 1 then
            lost[#lost + 1] = lane
        else
            local after, tag, class = settle_lane(k, claimed, args, at, last, classed and classed[lane])
            claims[lane] = after
            if after then call('HSET', held, lane, after) else released[#released + 1] = lane end
            if tag then ready[#ready + 1], tags[#tags + 1], classes[#classes + 1] = lane, tag, class end
            for i = at + 5, last do ended[#ended + 1] = args[i] end
        end
    end
    in_chunks('HDEL', held, released)
    if #ready > 0 then make_all_ready(k, ready, tags, classes) end
    return lost, ended
end

-- ID ENTRY … of operations that have left their lane, a part of a list: where a lane was lost, not all
-- that came along.
local function entries_of(s, args, lost, ended)
    if #lost == 0 then return args, s.results, s.results_end end
    local has_ended, fields = {}, {}
    for _, id in ipairs(ended) do has_ended[id] = true end
    for i = s.results, s.results_end, 2 do
        if has_ended[args[i]] then fields[#fields + 1], fields[#fields + 2] = args[i], args[i + 1] end
    end
    return fields, 1, #fields
end

-- Results go to those who asked -> ids whose result is wanted and did not come along
local function answer_replies(k, s, ended, list, first, last)
    local late, entries = {}, {}
    if call('EXISTS', k.replies) == 0 then return late end
    for i = first, last, 2 do entries[list[i]] = list[i + 1] end
    for from = 1, #ended, UNPACK_MAX do
        local counts = call('HMGET', k.replies, unpack(ended, from, math.min(from + UNPACK_MAX - 1, #ended)))
        for i, count in ipairs(counts) do
            local id = ended[from + i - 1]
            if not count or s.parked[id] then
                -- Nobody waits, or goes on waiting: it comes back.
            elseif entries[id] then
                push_reply(k, id, text_of_entry(id, entries[id]), tonumber(count), s.ttl_ms)
                call('HDEL', k.replies, id)
            else
                late[#late + 1] = id
            end
        end
    end
    return late
end

-- -> [[lanes that were no longer the processor's], [ids whose result is still wanted: see heddle_reply]]
function settle(k, args)
    local s = read_settlements(args)
    if not s then
        return refuse('invalid', 'expected INCARNATION RESULT_TTL_MS R P [ID ENTRY]... [ID]... and lanes')
    end
    control.weigh(k, s.starts, args)
    local lost, ended = settle_lanes(k, s, args)
    local list, first, last = entries_of(s, args, lost, ended)
    if first <= last then keep_results(k, s.ttl_ms, list, first, last) end
    local late = answer_replies(k, s, ended, list, first, last)
    depart(k, ended, s.parked)
    in_chunks('HDEL', k.ops, ended)
    return { lost, late }
end

-- RESULT_TTL_MS, then ID RESULT …: results for replies that were asked for while the operation ran.
function reply(k, args)
    local ttl_ms = tonumber(args[1])
    if not ttl_ms or #args % 2 ~= 1 then return refuse('invalid', 'expected RESULT_TTL_MS [ID RESULT]...') end
    for i = 2, #args, 2 do
        local count = tonumber(call('HGET', k.replies, args[i]) or 0)
        if count > 0 then push_reply(k, args[i], args[i + 1], count, ttl_ms) end
        call('HDEL', k.replies, args[i])
    end
    return redis.status_reply('OK')
end

end
