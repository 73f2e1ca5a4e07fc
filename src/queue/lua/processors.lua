-- Processors: beats, and the lanes of those that died or forgot.

local free_lane, heartbeat, release, decline, holds, give_back, suspect

do

-- Takes a lane from a processor that has it by this claim.
function free_lane(k, incarnation, lane, claimed)
    call('HDEL', k.base .. 'held:' .. incarnation, lane)
    local _, tag, _, class, slot = read_held(claimed)
    if slot then control.free_slot(k, slot, lane) end
    if has_operations(k, lane) and #places_of(k, lane) == 0 then
        make_ready(k, lane, tag, class)
    end
end

-- Frees up to `most` lanes of a processor; returns how many it still holds.
local function free_lanes(k, incarnation, most)
    local held = k.base .. 'held:' .. incarnation
    local lanes = call('HRANDFIELD', held, most, 'WITHVALUES')
    for i = 1, #lanes, 2 do free_lane(k, incarnation, lanes[i], lanes[i + 1]) end
    local left = call('HLEN', held)
    if left == 0 then
        call('ZREM', k.beats, incarnation)
        call('SREM', k.idle, incarnation)
    end
    return left
end

-- Redis' clock may go back, by a failover for one. Then nobody knows how long what waits has to wait, or how
-- long a processor may be silent: lanes come at once, and everybody has one lease from now. The newest time is
-- forgotten when that is done.
local CLOCK_SLACK_MS = 1000

local function mind_clock(k, at_ms, lease_ms)
    local newest = tonumber(call('HGET', k.meta, 'clock') or 0)
    if at_ms > newest then call('HSET', k.meta, 'clock', at_ms) end
    if at_ms >= newest - CLOCK_SLACK_MS then return end
    local late = call('ZRANGEBYSCORE', k.waiting, '-inf', format('(%.0f', FAR_MS), 'LIMIT', 0, 100)
    if #late > 0 then
        end_wait(k, late)
        make_all_ready(k, late)
    end
    for _, incarnation in ipairs(call('ZRANGEBYSCORE', k.beats, at_ms + lease_ms, '+inf')) do
        call('ZADD', k.beats, at_ms + lease_ms, incarnation)
    end
    if #late < 100 then call('HSET', k.meta, 'clock', at_ms) end
end

-- INCARNATION LEASE_MS -> [expired processors, lanes of theirs that are still to be freed]
function heartbeat(k, args)
    local lease_ms = tonumber(args[2])
    if not lease_ms then return refuse('invalid', 'expected INCARNATION LEASE_MS') end
    local freed, left, at_ms = 0, 0, now_ms()
    beat(k, args[1], lease_ms, at_ms)
    drop_results(k)
    if control.rules_of(k) then control.drop_full(k, at_ms) end
    mind_clock(k, at_ms, lease_ms)
    for _, incarnation in ipairs(call('ZRANGEBYSCORE', k.beats, '-inf', at_ms, 'LIMIT', 0, 4)) do
        freed, left = freed + 1, left + free_lanes(k, incarnation, 100)
    end
    return { freed, left }
end

-- INCARNATION: frees its lanes, up to 100 a call -> how many it still holds
function release(k, args)
    return free_lanes(k, args[1], 100)
end

-- INCARNATION: it claims nothing for now. Whoever has woken it in vain wakes another.
function decline(k, args)
    if call('SREM', k.idle, args[1]) == 0 and count_ready(k) > 0 then wake(k, 1) end
    return redis.status_reply('OK')
end

-- INCARNATION CURSOR -> [next cursor, lane, seq, …]: some of the lanes that it holds
function holds(k, args)
    local page = call('HSCAN', k.base .. 'held:' .. args[1], args[2], 'COUNT', 100)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        answer[#answer + 1] = page[2][i]
        answer[#answer + 1] = page[2][i + 1]:match('^%d+')
    end
    return answer
end

-- INCARNATION, then LANE SEQ …: claims that their processor does not know of -> lanes of those that there were
function give_back(k, args)
    local held, freed = k.base .. 'held:' .. args[1], {}
    for i = 2, #args, 2 do
        local claimed = call('HGET', held, args[i])
        if claimed and claimed:match('^%d+') == args[i + 1] then
            free_lane(k, args[1], args[i], claimed)
            freed[#freed + 1] = args[i]
        end
    end
    return freed
end

-- INCARNATION LANE ID POISON_CRASHES: the lane of a dead processor's suspect goes to the quarantine.
-- POISON_CRASHES > 0 charges the operation; with so many crashes it is given up. A slot stays its own.
function suspect(k, args)
    local incarnation, lane, id, poison_crashes = args[1], args[2], args[3], tonumber(args[4])
    if not poison_crashes then return refuse('invalid', 'expected INCARNATION LANE ID POISON_CRASHES') end
    local claimed = call('HGET', k.base .. 'held:' .. incarnation, lane)
    if not claimed then return 0 end
    if not has_operations(k, lane) then
        free_lane(k, incarnation, lane, claimed)
        return 0
    end
    call('HDEL', k.base .. 'held:' .. incarnation, lane)
    local record = call('HGET', k.ops, id)
    if record and poison_crashes > 0 then call('HSET', k.ops, id, crashed(record, poison_crashes)) end
    -- It comes first there.
    if record and call('LINDEX', k.lane .. lane, 0) ~= id then note_awaited(k, lane, id) end
    call('HSET', k.halted, lane, 'suspect')
    return 1
end

end
