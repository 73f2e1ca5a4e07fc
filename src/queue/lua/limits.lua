-- Limits: how much may begin. Rates are held by GCRA, the generic cell rate algorithm (ITU-T I.371,
-- Annex A): a theoretical arrival time TAT says how much of a bucket of `burst` tokens is used, which
-- fills by one every `interval`. Concurrency is held by slots: `B busy:OP` has the lanes that use one.
--
-- A user's limit is its partition's affair: its lane waits until the exact time. What holds for an op or
-- for all is divided: `B shares` (kind and target -> tokens of the burst, or slots) has this partition's
-- part, with which goes the same part of the rate; the processors move parts (engine/shares.c), by calls
-- that rise in EPOCH. Lanes that can't go stand in `B line:REASON` in the order of their coming, and in
-- `waiting` at FAR_MS; `B lines` says when the first of each may go, FAR_MS: when something happens.

do

local LINES_MAX, DROP_MIN = 8, 100

local function time_of(claim)
    claim.at_us = claim.at_us or now()
    return claim.at_us
end

-- What a rate is kept as: "interval in µs:burst".
local function read_rate(text)
    local interval, burst = text:match('^([%d.]+):(%d+)$')
    return tonumber(interval), tonumber(burst)
end

local function is_shared(target)
    return target == 'all' or find(target, '^op:') ~= nil
end

local function share_of(k, kind, target)
    return tonumber(call('HGET', k.shares, kind .. ' ' .. target) or 0)
end

-- What stands in a line waits for this.
local function target_of(reason)
    local op = reason:match('^busy (.*)$')
    if op then return 'slots', 'op:' .. op end
    op = reason:match('^rate op (.*)$')
    return 'rate', op and 'op:' .. op or 'all'
end

local function line_for(kind, target)
    local op = target:match('^op:(.*)$')
    return kind == 'slots' and 'busy ' .. op or op and 'rate op ' .. op or 'rate all'
end

local function keep(k, bucket, at_us)
    if bucket.tat > at_us and bucket.interval then
        call('ZADD', k.tats, format('%.0f', math.ceil(bucket.tat)), bucket.target)
    else
        call('ZREM', k.tats, bucket.target)
    end
end

-- `target`'s bucket at a rate; `share` is nil where it has all of it.
local function fill(k, target, rate, share, at_us)
    local interval, burst = read_rate(rate)
    local bucket = { target = target, window = interval * burst, interval = interval, share = share }
    if share then bucket.interval = share > 0 and bucket.window / share or nil end
    bucket.tat = math.max(tonumber(call('ZSCORE', k.tats, target) or 0), at_us)
    if bucket.tat > at_us + bucket.window then
        -- The rate was another one: more than the whole bucket is never owed.
        bucket.tat = at_us + bucket.window
        keep(k, bucket, at_us)
    end
    return bucket
end

-- Tokens, not rounded.
local function tokens(bucket, at_us)
    return bucket.interval and (bucket.window - (bucket.tat - at_us)) / bucket.interval or 0
end

local function whole(number)
    return math.floor(number + 1e-6)
end

-- When the next token is there.
local function next_us(bucket)
    return bucket.interval and bucket.tat + bucket.interval - bucket.window or FAR_MS * 1000
end

-- What is left of a shared limit in this call: {left, line, …}; false where there is none.
local function shared(k, claim, kind, target)
    local limits = claim.limits
    local key = kind .. target
    if limits[key] ~= nil then return limits[key] end
    local value = control.has(claim.rules, kind) and call('HGET', k.controls .. kind, target)
    local limit = false
    if value then
        local share = share_of(k, kind, target)
        limit = kind == 'slots' and { left = share - call('SCARD', k.busy .. sub(target, 4)), share = share }
            or fill(k, target, value, share, time_of(claim))
        limit.left = limit.left or whole(tokens(limit, time_of(claim)))
        limit.line = line_for(kind, target)
        limit.has_line = call('EXISTS', k.line .. limit.line) == 1
        if limit.has_line then claim.touched[limit.line] = true end
    end
    limits[key] = limit
    return limit
end

-- The user's own bucket; false where it has none.
local function bucket_of_user(k, claim, lane)
    if not control.has(claim.rules, 'rate') then return false end
    local rates = call('HMGET', k.controls .. 'rate', 'user:' .. lane, 'users')
    local rate = rates[1] or rates[2]
    if not rate then return false end
    local bucket = fill(k, 'user:' .. lane, rate, nil, time_of(claim))
    bucket.left = whole(tokens(bucket, time_of(claim)))
    return bucket
end

-- When a line's next lane may go, in ms.
local function due_of(k, claim, reason)
    local kind, target = target_of(reason)
    local limit = shared(k, claim, kind, target)
    if not limit or limit.left > 0 then return 0 end
    return kind == 'slots' and FAR_MS or math.min(math.ceil(next_us(limit) / 1000), FAR_MS)
end

local function arm(k, claim, reason)
    if call('EXISTS', k.line .. reason) == 1 then
        call('ZADD', k.lines, format('%.0f', due_of(k, claim, reason)), reason)
    else
        call('ZREM', k.lines, reason)
    end
end

-- What a line waits for may have come.
local function look_at_line(k, reason)
    if call('EXISTS', k.line .. reason) == 1 then
        call('ZADD', k.lines, 0, reason)
        wake(k, 1)
    end
end

function control.begin(claim)
    claim.limits, claim.touched, claim.called, claim.quotas, claim.slots = {}, {}, {}, {}, {}
end

-- Lanes that stood in line and may go now: {name, tag, …}.
function control.call_lines(k, claim, tag)
    local lanes = {}
    if not control.has(claim.rules, 'lines') then return lanes end
    for _, reason in ipairs(call('ZRANGEBYSCORE', k.lines, '-inf', claim.at_ms, 'LIMIT', 0, LINES_MAX)) do
        local limit = shared(k, claim, target_of(reason))
        local most, quota = claim.lanes_max - #lanes / 2, nil
        if limit then
            most = math.min(limit.left, most)
            quota = math.max(math.floor(limit.left / math.max(call('ZCARD', k.line .. reason), 1)), 1)
        end
        claim.touched[reason] = true
        for _, lane in ipairs(most > 0 and call('ZRANGE', k.line .. reason, 0, most - 1) or {}) do
            call('ZREM', k.line .. reason, lane)
            if end_wait(k, { lane }) == 1 then
                claim.called[lane], claim.quotas[lane] = reason, quota
                lanes[#lanes + 1], lanes[#lanes + 2] = lane, tag
            end
        end
        if limit then limit.has_line = call('EXISTS', k.line .. reason) == 1 end
    end
    return lanes
end

local function must_wait(claim, limit, lane)
    return limit and (limit.left < 1 or limit.has_line and claim.called[lane] ~= limit.line)
end

local function stand_in_line(k, claim, limit, lane)
    claim.stood = (claim.stood or 0) + 1
    hold_lane(k, lane, FAR_MS, limit.line)
    call('ZADD', k.line .. limit.line, format('%.0f', time_of(claim) + claim.stood), lane)
    if limit.share == 0 and not limit.has_line then control.tell_all(k, 'shares') end
    limit.has_line = true
    claim.touched[limit.line] = true
end

local function take_token(claim, bucket)
    if not bucket then return end
    bucket.left, bucket.tat = bucket.left - 1, bucket.tat + bucket.interval
    claim.used = claim.used or {}
    claim.used[bucket] = true
end

-- The limits of an operation -> those of which it takes a token, its slots, and the one it must wait for
local function limits_of(k, claim, lane, op, of_all)
    local of_op, slots = shared(k, claim, 'rate', 'op:' .. op), shared(k, claim, 'slots', 'op:' .. op)
    local blocker = must_wait(claim, of_op, lane) and of_op or must_wait(claim, of_all, lane) and of_all
        or must_wait(claim, slots, lane) and slots or nil
    return of_op, slots, blocker
end

-- How many of list[first] to list[first + count - 1], which are the lane's next operations, may begin
-- now, and takes their tokens and slot; where none may, the lane waits. An operation that needs a slot
-- is claimed alone, so that the slot is used as long as it runs; and those who stood in line share what there
-- is. One that is cancelled begins nothing.
function control.limit(k, claim, lane, list, first, count)
    local of_user, of_all = bucket_of_user(k, claim, lane), shared(k, claim, 'rate', 'all')
    count = math.min(count, claim.quotas[lane] or count)
    for i = first, first + count - 1 do
        if not has_flag(list[i], FLAG_CANCELLED) then
            local op = op_of(list[i])
            local of_op, slots, blocker = limits_of(k, claim, lane, op, of_all)
            if i > first and (slots or blocker) then return i - first end
            if of_user and of_user.left < 1 then
                if i == first then hold_lane(k, lane, math.ceil(next_us(of_user) / 1000), 'rate user') end
                return i - first
            end
            if blocker then
                stand_in_line(k, claim, blocker, lane)
                return 0
            end
            take_token(claim, of_user)
            take_token(claim, of_op)
            take_token(claim, of_all)
            if slots then
                slots.left = slots.left - 1
                call('SADD', k.busy .. op, lane)
                claim.slots[lane] = op
                return 1
            end
        end
    end
    return count
end

-- Full buckets are not kept, but they go some at a time.
function control.drop_full(k, at_ms, most)
    local full = call('ZRANGEBYSCORE', k.tats, '-inf', format('%.0f', 1000 * at_ms), 'LIMIT', 0, most or DROP_MIN)
    if #full > 0 then call('ZREM', k.tats, unpack(full)) end
    if not most then control.refresh_rules(k) end
end

-- What a claim has used is written down.
function control.finish(k, claim)
    if claim.used then
        for bucket in pairs(claim.used) do keep(k, bucket, claim.at_us) end
        control.drop_full(k, claim.at_ms, DROP_MIN + 2 * claim.lanes_max)
    end
    for reason in pairs(claim.touched) do arm(k, claim, reason) end
    if (call('EXISTS', k.lines) == 1) ~= (control.has(claim.rules, 'lines') ~= nil) then control.refresh_rules(k) end
end

-- In ms; nil: nothing stands in line for a time.
function control.next_line_ms(k)
    local first = call('ZRANGE', k.lines, 0, 0, 'WITHSCORES')
    return first[2] and tonumber(first[2]) < FAR_MS and tonumber(first[2]) or nil
end

-- -> nil: it has none any more
function control.free_slot(k, op, lane)
    if call('SREM', k.busy .. op, lane) == 1 then look_at_line(k, 'busy ' .. op) end
end

-- The slot that a suspect's lane still has, for it may be tried at any time.
function control.kept_slot(k, lane, record)
    local op = op_of(record)
    return call('SISMEMBER', k.busy .. op, lane) == 1 and op or nil
end

-- The users' limit has changed: who waits for it is looked at again, some lanes a call -> true: that was all
function control.sweep(k)
    local page = call('HSCAN', k.waits, call('HGET', k.meta, 'sweep') or '0', 'COUNT', 100)
    local lanes = {}
    for i = 1, #page[2], 2 do
        if page[2][i + 1] == 'rate user' then lanes[#lanes + 1] = page[2][i] end
    end
    end_wait(k, lanes)
    if #lanes > 0 then make_all_ready(k, lanes) end
    if page[1] ~= '0' then
        call('HSET', k.meta, 'sweep', page[1])
        return false
    end
    call('HDEL', k.meta, 'sweep')
    control.refresh_rules(k)
    return true
end

-- Gives the partition this share, and so much more credit, in tokens -> the credit that it had too much
local function set_share(k, kind, target, before, after, share, credit)
    local key, taken = kind .. ' ' .. target, 0
    if kind == 'rate' then
        local at_us = now()
        local old = before and fill(k, target, before, share_of(k, kind, target), at_us)
        local had, new = old and tokens(old, at_us) or 0, fill(k, target, after, share, at_us)
        local has = math.min(had + credit, share)
        taken = had + credit - has
        new.tat = at_us + new.window - has * (new.interval or 0)
        keep(k, new, at_us)
    end
    if share > 0 then call('HSET', k.shares, key, share) else call('HDEL', k.shares, key) end
    look_at_line(k, line_for(kind, target))
    return taken
end

-- A shared limit has changed: no more of it than others may have any more stays here.
local function changed_shared(k, kind, target, old, new, total_of)
    if new then
        local share = share_of(k, kind, target)
        if old and total_of(new) < total_of(old) then
            share = math.floor(share * total_of(new) / total_of(old))
        end
        set_share(k, kind, target, old, new, share, 0)
    else
        call('HDEL', k.shares, kind .. ' ' .. target)
        if kind == 'rate' then call('ZREM', k.tats, target) end
        look_at_line(k, line_for(kind, target))
    end
end

control.kinds.rate = {
    read = function(_, value)
        return format('%.3f:%d', value.period_us / value.count, value.burst)
    end,
    changed = function(k, target, old, new)
        local user = target:match('^user:(.*)$')
        if not new and call('EXISTS', k.controls .. 'rate') == 0 then call('UNLINK', k.tats) end
        if is_shared(target) then
            changed_shared(k, 'rate', target, old, new, function(rate) return select(2, read_rate(rate)) end)
        elseif not user then
            call('HSET', k.meta, 'sweep', '0')
        elseif call('HGET', k.waits, user) == 'rate user' then
            end_wait(k, { user })
            make_ready(k, user)
        end
    end,
}

control.kinds.slots = {
    read = function(_, value) return format('%d', value.count) end,
    changed = function(k, target, old, new) changed_shared(k, 'slots', target, old, new, tonumber) end,
}

-- EPOCH, then KIND TARGET SHARE CREDIT …: the shares of this partition, empty where it is only asked, and
-- millionths of tokens. -> [1, then for each SHARE (-1: the limit is not known here) USED WAITING OLDEST
-- TAKEN]: slots in use, lanes in line, since when the first of them stands there in µs, and the credit
-- that is given back; of a cap how many are queued, and were refused. [0]: somebody who came later has looked at the shares since.
function control.share(k, args)
    local epoch, answer = tonumber(args[1] or ''), { 1 }
    if not epoch or #args % 4 ~= 1 then return refuse('invalid', 'expected EPOCH [KIND TARGET SHARE CREDIT]...') end
    if epoch < tonumber(call('HGET', k.meta, 'epoch') or 0) then return { 0 } end
    call('HSET', k.meta, 'epoch', args[1])
    for i = 2, #args, 4 do
        local kind, target = args[i], args[i + 1]
        local value = control.kinds[kind] and call('HGET', k.controls .. kind, target)
        local share, taken, used = tonumber(args[i + 2]), 0, 0
        local line, first, waiting = k.line .. line_for(kind, target), {}, 0
        if kind == 'cap' then
            used, waiting = control.cap_share(k, target, value and share)
        elseif value and share then
            taken = set_share(k, kind, target, value, value, share, args[i + 3] / 1e6)
        end
        if kind == 'slots' then used = call('SCARD', k.busy .. sub(target, 4)) end
        if kind ~= 'cap' then
            waiting, first = call('ZCARD', line), call('ZRANGE', line, 0, 0, 'WITHSCORES')
        end
        for _, number in ipairs { value and share_of(k, kind, target) or -1, used, waiting,
            tonumber(first[2] or 0), math.floor(taken * 1e6) } do
            answer[#answer + 1] = format('%.0f', number)
        end
    end
    return answer
end

end
