-- Controls: what operators have said of users, ops and everything. Their truth is Postgres'; each
-- partition has those that concern it, in hashes `B controls.KIND` (target -> what KINDS says), and
-- meta has the version they are of (controls) and the kinds that there are (rules): a call that finds no
-- rules does nothing more. Targets: all, users (each of them), user:U, op:OP.

local control = {}

do

-- Of each kind: read(version, value, old) gives what is kept of a value, which is JSON; changed(k,
-- target, old, new) is told afterwards; nil: absent.
control.kinds = {}
control.names = { 'pause', 'rate', 'slots', 'cap', 'weight', 'plan' }

function control.has(rules, word)
    return rules and find(rules, word, 1, true)
end

function control.rules_of(k)
    return call('HGET', k.meta, 'rules')
end

function control.refresh_rules(k)
    local words = {}
    for _, kind in ipairs(control.names) do
        if call('EXISTS', k.controls .. kind) == 1 then words[#words + 1] = kind end
    end
    if call('EXISTS', k.freed) == 1 then words[#words + 1] = 'freed' end
    for _, word in ipairs { 'lines', 'tats' } do
        if call('EXISTS', k[word]) == 1 then words[#words + 1] = word end
    end
    for _, word in ipairs { 'awaits', 'sweep', 'count', 'seen' } do
        if call('HEXISTS', k.meta, word) == 1 then words[#words + 1] = word end
    end
    if #words > 0 then
        call('HSET', k.meta, 'rules', table.concat(words, ' '))
    else
        call('HDEL', k.meta, 'rules')
    end
end

-- A partition that knows no controls yet claims nothing before it does.
function control.await(k)
    if call('HEXISTS', k.meta, 'controls') == 1 then return end
    call('HSET', k.meta, 'awaits', 1)
    control.refresh_rules(k)
end

local function set(k, version, kind, target, value)
    local rules, key = control.kinds[kind], k.controls .. kind
    local user = target:match('^user:(.*)$')
    if not rules or (user and partition_of(user, tonumber(call('HGET', k.meta, 'partitions'))) ~= k.partition) then
        return
    end
    local old = call('HGET', key, target) or nil
    local new = value ~= '' and rules.read(version, cjson.decode(value), old) or nil
    if new then
        call('HSET', key, target, new)
    elseif old then
        call('HDEL', key, target)
    end
    rules.changed(k, target, old, new)
end

-- Tells all processors; they are few.
function control.tell_all(k, text)
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        call('PUBLISH', 'heddle:wake:' .. incarnation, text)
    end
end

-- FROM TO IS_LAST, then VERSION KIND TARGET VALUE …, the value empty where the control is no more: a
-- page of those behind version FROM. TO is before FROM where Postgres has gone back: what was known is
-- forgotten. -> the version that is known now: FROM was another one where it is not TO.
function control.take(k, args)
    local from, to = tonumber(args[1] or ''), tonumber(args[2] or '')
    if not from or not to or #args % 4 ~= 3 then
        return refuse('invalid', 'expected FROM TO IS_LAST [VERSION KIND TARGET VALUE]...')
    end
    local known = tonumber(call('HGET', k.meta, 'controls') or 0)
    if known ~= from then return known end
    if to < from then
        for _, kind in ipairs(control.names) do
            local there = call('HGETALL', k.controls .. kind)
            for i = 1, #there, 2 do set(k, '0', kind, there[i], '') end
        end
    end
    for i = 4, #args, 4 do set(k, args[i], args[i + 1], args[i + 2], args[i + 3]) end
    call('HSET', k.meta, 'controls', args[2])
    if args[3] == '1' then call('HDEL', k.meta, 'awaits') end
    control.refresh_rules(k)
    control.tell_all(k, k.partition)
    return to
end

-- Pauses: "hold:refuses". What is paused waits at FAR_MS + hold, which is the version of the pause, and
-- comes back some at a time, by claims: `freed` has the times of pauses that have ended.

local function hold_of(pause) return FAR_MS + tonumber(pause:match('^%d+')) end

function control.free(k, time)
    local score = format('%.0f', time)
    if call('ZCOUNT', k.waiting, score, score) > 0 then call('SADD', k.freed, score) end
end

control.kinds.pause = {
    read = function(version, value, old)
        return (old and old:match('^%d+') or version) .. ':' .. (value.refuse == true and 1 or 0)
    end,
    changed = function(k, _, old, new)
        if old and not new then control.free(k, hold_of(old)) end
        if new and not old then control.tell_all(k, 'yield') end
    end,
}

-- Some lanes whose pause has ended are ready again -> true where that may have been all.
function control.wake_freed(k, most)
    local score = call('SRANDMEMBER', k.freed)
    local lanes = score and call('ZRANGEBYSCORE', k.waiting, score, score, 'LIMIT', 0, most) or {}
    if #lanes > 0 then
        end_wait(k, lanes)
        make_all_ready(k, lanes)
    end
    if #lanes == most then return false end
    if score then call('SREM', k.freed, score) end
    control.refresh_rules(k)
    return call('EXISTS', k.freed) == 0
end

-- True where nothing may begin.
function control.is_stopped(k, rules)
    return control.has(rules, 'awaits')
        or control.has(rules, 'pause') and call('HEXISTS', k.controls .. 'pause', 'all') == 1
end

-- What pauses an operation, its pause, and its target; nil where nothing does.
local function pause_of(k, user, op)
    local found = call('HMGET', k.controls .. 'pause', 'all', 'user:' .. user, 'op:' .. op)
    if found[1] then return 'everything is paused', found[1], 'all' end
    if found[2] then return 'the user is paused', found[2], 'user:' .. user end
    if found[3] then return 'op ' .. op .. ' is paused', found[3], 'op:' .. op end
end

-- The target of the control that pauses an operation; nil: none does.
function control.pausing(k, rules, user, op)
    if not control.has(rules, 'pause') then return nil end
    local _, _, target = pause_of(k, user, op)
    return target
end

function control.is_paused(k, rules, user, op)
    return control.has(rules, 'pause') and pause_of(k, user, op) ~= nil
end

-- Why a new operation is not taken; nil: it is.
function control.refusal(b, o)
    if control.has(b.rules, 'pause') then
        local text, pause = pause_of(b.k, o.user, o.op)
        if text and pause:match('1$') then return refuse('paused', text) end
    end
    return control.full(b, o)
end

-- Asks once a call.
local function pause_of_op(k, claim, op)
    local pauses = claim.pauses
    if pauses[op] == nil then pauses[op] = call('HGET', k.controls .. 'pause', 'op:' .. op) end
    return pauses[op]
end

local function unpaused(k, claim, lane, list, first, count)
    claim.pauses = claim.pauses or {}
    local pause = call('HGET', k.controls .. 'pause', 'user:' .. lane)
    if pause then
        hold_lane(k, lane, hold_of(pause), 'paused user')
        return 0
    end
    for i = first, first + count - 1 do
        local op = not has_flag(list[i], FLAG_CANCELLED) and op_of(list[i])
        pause = op and pause_of_op(k, claim, op)
        if pause then
            if i == first then hold_lane(k, lane, hold_of(pause), 'paused op ' .. op) end
            return i - first
        end
    end
    return count
end

-- How many of list[first] to list[first + count - 1], which are the lane's next operations, may begin
-- now; where none may, the lane waits. One that is cancelled begins nothing.
function control.admit(k, claim, lane, list, first, count)
    if control.has(claim.rules, 'pause') then count = unpaused(k, claim, lane, list, first, count) end
    if count > 0 and (control.has(claim.rules, 'rate') or control.has(claim.rules, 'slots')) then
        count = control.limit(k, claim, lane, list, first, count)
    end
    return count
end

-- False where a lane waits for an event that nothing will bring about any more.
function control.is_expected(k, lane, score)
    if tonumber(score) < FAR_MS or call('SISMEMBER', k.freed, format('%.0f', score)) == 1 then return true end
    local reason = call('HGET', k.waits, lane) or ''
    if call('ZSCORE', k.line .. reason, lane) then return call('ZSCORE', k.lines, reason) end
    local op = reason:match('^paused op (.*)$')
    local target = op and 'op:' .. op or reason == 'paused user' and 'user:' .. lane
    local pause = target and call('HGET', k.controls .. 'pause', target)
    return pause and hold_of(pause) == tonumber(score)
end

end
