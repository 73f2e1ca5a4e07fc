-- Caps: how much may be queued; what is beyond is refused. A user's is its partition's affair. That of an
-- op or of all is divided as limits are (see limits.lua), by `B shares`; until a partition has heard of its
-- part nothing is refused for it. Operations of capped ops are counted once each, by their ids: `B counted`
-- (id -> op), `B counts` (op -> how many); those that were there before the cap are counted some at a time.
--
-- Redis refuses bulk operations first: while it has still some of its memory.

do

local COUNT_PAGE, SHED_PERCENT, MEMORY_US = 100, 90, 100000

local memory_percent, memory_at_us = 0, 0

-- Of maxmemory, as of a moment ago; 0 where there is no bound.
local function memory_used(at_us)
    if at_us - memory_at_us >= MEMORY_US or at_us < memory_at_us then
        local info = call('INFO', 'memory')
        local most = tonumber(info:match('\nmaxmemory:(%d+)'))
        memory_percent = most > 0 and 100 * info:match('\nused_memory:(%d+)') / most or 0
        memory_at_us = at_us
    end
    return memory_percent
end

local function shed(b)
    local at = control.has(b.rules, 'cap') and call('HGET', b.k.controls .. 'cap', 'bulk')
    at = tonumber(at or SHED_PERCENT)
    local used = memory_used(b.at_us)
    if used >= at then
        return refuse('full', format('Redis has used %d %% of its memory, bulk is accepted below %d %%', used, at))
    end
end

-- How many are queued that count for a target, with those that this call has taken in.
local function used_of(b, target, o)
    if not b.used[target] then
        local k, count = b.k, 0
        if target == 'all' then
            count = call('HLEN', k.ops)
        elseif target == 'user' .. o.user then
            for class = 0, 2 do count = count + call('LLEN', k.lists[class] .. o.user) end
        else
            count = tonumber(call('HGET', k.counts, o.op) or 0)
        end
        b.used[target] = count
    end
    return b.used[target]
end

-- Whoever moves shares hears that there is somebody who would need more.
local function ask_for_more(k, target)
    if call('HINCRBY', k.shares, 'short ' .. target, 1) == 1 then control.tell_all(k, 'shares') end
end

local function beyond_share(b, o, target, cap, share)
    if not cap or not share then return nil end
    local used = used_of(b, target, o)
    if used < tonumber(share) then return nil end
    ask_for_more(b.k, target)
    return refuse('full', format('%s has %d of %s queued here, %s are allowed in all',
        target == 'all' and 'everything' or 'op ' .. o.op, used, share, cap))
end

-- Why there is no room for a new operation; nil: there is.
function control.full(b, o)
    if o.flow and o.flow.priority == 'bulk' then
        local problem = shed(b)
        if problem then return problem end
    end
    if not control.has(b.rules, 'cap') then return nil end
    local k, op = b.k, 'op:' .. o.op
    local caps = call('HMGET', k.controls .. 'cap', 'user:' .. o.user, 'users', op, 'all')
    local of_user = tonumber(caps[1] or caps[2] or nil)
    if of_user and used_of(b, 'user' .. o.user, o) >= of_user then
        return refuse('full', format('the user has %d of %d queued', b.used['user' .. o.user], of_user))
    end
    if not caps[3] and not caps[4] then return nil end
    local shares = call('HMGET', k.shares, 'cap ' .. op, 'cap all')
    return beyond_share(b, o, op, caps[3], shares[1]) or beyond_share(b, o, 'all', caps[4], shares[2])
end

local function count(k, id, op)
    if call('HSETNX', k.counted, id, op) == 1 then call('HINCRBY', k.counts, op, 1) end
end

-- An operation is accepted.
function control.count(k, rules, o)
    if control.has(rules, 'cap') and call('HEXISTS', k.controls .. 'cap', 'op:' .. o.op) == 1 then
        count(k, o.id, o.op)
    end
end

-- The same, of a call that accepts several; those that are for later are in no lane yet.
function control.count_in(b, o, is_later)
    control.count(b.k, b.rules, o)
    for _, target in ipairs { 'op:' .. o.op, 'all', not is_later and 'user' .. o.user or nil } do
        if b.used[target] then b.used[target] = b.used[target] + 1 end
    end
end

-- ids[first] to ids[last] leave Redis.
function control.uncount(k, ids, first, last)
    local gone = {}
    for i, op in ipairs(call('HMGET', k.counted, unpack(ids, first, last))) do
        if op then
            gone[#gone + 1] = ids[first + i - 1]
            if call('HINCRBY', k.counts, op, -1) <= 0 then call('HDEL', k.counts, op) end
        end
    end
    if #gone > 0 then call('HDEL', k.counted, unpack(gone)) end
end

-- Operations that were there before the cap of their op -> true: those are all
function control.count_old(k)
    local page = call('HSCAN', k.ops, call('HGET', k.meta, 'count') or '0', 'COUNT', COUNT_PAGE)
    local is_capped = {}
    for i = 1, #page[2], 2 do
        local op = op_of(page[2][i + 1])
        if is_capped[op] == nil then is_capped[op] = call('HEXISTS', k.controls .. 'cap', 'op:' .. op) == 1 end
        if is_capped[op] then count(k, page[2][i], op) end
    end
    if page[1] ~= '0' then
        call('HSET', k.meta, 'count', page[1])
        return false
    end
    call('HDEL', k.meta, 'count')
    control.refresh_rules(k)
    return true
end

control.kinds.cap = {
    read = function(_, value) return format('%d', value.count) end,
    changed = function(k, target, old, new)
        local key = 'cap ' .. target
        if not new then
            call('HDEL', k.shares, key, 'short ' .. target)
        elseif not old and find(target, '^op:') then
            call('HSET', k.meta, 'count', '0')
        elseif old and tonumber(new) < tonumber(old) and call('HEXISTS', k.shares, key) == 1 then
            call('HSET', k.shares, key, math.floor(call('HGET', k.shares, key) * new / old))
        end
    end,
}

-- What a partition says of its share of a cap (see control.share): in use, refused since it was last asked.
function control.cap_share(k, target, share)
    if share then call('HSET', k.shares, 'cap ' .. target, share) end
    local short = tonumber(call('HGET', k.shares, 'short ' .. target) or 0)
    call('HDEL', k.shares, 'short ' .. target)
    local used = target == 'all' and call('HLEN', k.ops) or tonumber(call('HGET', k.counts, sub(target, 4)) or 0)
    return used, short
end

end
