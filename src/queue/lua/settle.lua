-- Settling: ended operations leave, the lane goes on.

-- INCARNATION RESULT_TTL_MS, then for each lane LANE SEQ DISPOSITION ARGUMENT COST_US N and N times
-- ID STATE RESULT; STATE p: parked, it has not ended but leaves the lane. Dispositions: keep, release,
-- wait and pause (ARGUMENT: ms; a pause charges the next operation no attempt), halt (ARGUMENT: reason).
local PARKED = 'p'
local DISPOSITIONS = { keep = true, release = true, wait = true, pause = true, halt = true }

local function read_settlements(args)
    local lanes, i = {}, 3
    while i <= #args do
        local lane = {
            name = args[i], seq = args[i + 1], disposition = args[i + 2], argument = args[i + 3],
            cost_us = tonumber(args[i + 4]), ids = {}, states = {}, results = {},
        }
        local count = tonumber(args[i + 5])
        if not DISPOSITIONS[lane.disposition] or not lane.cost_us or not count
            or i + 5 + 3 * count > #args
            or ((lane.disposition == 'wait' or lane.disposition == 'pause') and not tonumber(lane.argument)) then
            return nil, refuse('invalid', 'malformed settlement')
        end
        for n = 1, count do
            local at = i + 3 + 3 * n
            lane.ids[n], lane.states[n], lane.results[n] = args[at], args[at + 1], args[at + 2]
            if not STATES[lane.states[n]] and lane.states[n] ~= PARKED then
                return nil, refuse('invalid', 'malformed settlement')
            end
        end
        lanes[#lanes + 1] = lane
        i = i + 6 + 3 * count
    end
    return lanes
end

-- Takes finished operations out of their lane, by id. They are its first ones, but for what others
-- did to the lane meanwhile; a settlement that is repeated after a lost answer finds none.
local function remove_from_lane(k, lane)
    local key, ids = k.lane .. lane.name, lane.ids
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

local function keep_result(k, id, state, result, ttl_ms)
    local record = call('HGET', k.ops, id)
    if record then
        call('SET', k.base .. 'result:' .. id, state .. redis.sha1hex(content_of(record)) .. result, 'PX', ttl_ms)
    end
end

-- Results go to those who asked. Returns ids whose reply is wanted and whose result did not come along.
local function answer_replies(k, lane, ttl_ms, replies_wanted, late)
    local counts = replies_wanted and call('HMGET', k.replies, unpack(lane.ids))
    for i, id in ipairs(lane.ids) do
        local count = counts and tonumber(counts[i] or '') or 0
        local result = lane.results[i]
        if result ~= '' then keep_result(k, id, lane.states[i], result, ttl_ms) end
        if lane.states[i] == PARKED then
            -- Whoever waits goes on waiting: it comes back.
        elseif count > 0 and result == '' then
            late[#late + 1] = id
        elseif count > 0 then
            push_reply(k, id, result, count, ttl_ms)
            call('HDEL', k.replies, id)
        end
    end
end

local function dispose(k, incarnation, lane, tag, left)
    local held = k.base .. 'held:' .. incarnation
    if lane.disposition == 'keep' then
        call('HSET', held, lane.name, held_text(lane.seq, tag + lane.cost_us, left))
        return
    end
    call('HDEL', held, lane.name)
    local head = call('LINDEX', k.lane .. lane.name, 0)
    if not head then return end
    if lane.disposition == 'release' then
        make_ready(k, lane.name, tag + lane.cost_us)
        return
    end
    local record = call('HGET', k.ops, head)
    local looks = record and has_flag(record, FLAG_LOOK)
    if record and lane.disposition == 'wait' then record = attempted(record) end
    if looks or (record and lane.disposition == 'wait') then
        call('HSET', k.ops, head, unflagged(record, FLAG_LOOK))
    end
    if looks then
        make_ready(k, lane.name, tag + lane.cost_us)
    elseif lane.disposition == 'wait' or lane.disposition == 'pause' then
        call('ZADD', k.waiting, now_ms() + tonumber(lane.argument), lane.name)
        -- Who sleeps until another lane is due has to hear of an earlier one.
        if call('ZRANK', k.waiting, lane.name) == 0 then wake(k) end
    else
        call('HSET', k.halted, lane.name, lane.argument)
    end
end

-- -> [[lanes that were no longer the processor's], [ids whose result is still wanted: see heddle_reply]]
local function settle(k, args)
    local incarnation, ttl_ms = args[1], tonumber(args[2])
    if not ttl_ms then return refuse('invalid', 'expected INCARNATION RESULT_TTL_MS ...') end
    local lanes, problem = read_settlements(args)
    if problem then return problem end

    local lost, late, ended = {}, {}, {}
    local replies_wanted = call('EXISTS', k.replies) == 1
    for _, lane in ipairs(lanes) do
        local claimed = call('HGET', k.base .. 'held:' .. incarnation, lane.name)
        local seq, tag, count = (claimed or ''):match('^(%d+):(%d+):(%d+)$')
        if seq ~= lane.seq then
            lost[#lost + 1] = lane.name
        else
            if #lane.ids > 0 then
                answer_replies(k, lane, ttl_ms, replies_wanted, late)
                count = count - remove_from_lane(k, lane)
                for _, id in ipairs(lane.ids) do ended[#ended + 1] = id end
            end
            dispose(k, incarnation, lane, tonumber(tag), tonumber(count))
        end
    end
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
