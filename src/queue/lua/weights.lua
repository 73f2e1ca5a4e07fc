-- Weights: a user's part of the service beside others'. Kinds of control: weight (user:U or plan:P -> how
-- many times as much as one of weight 1) and plan (user:U -> the plan whose weight it has, where it has none
-- of its own). What an operation costs counts for its lane divided by the weight.

do

-- Of a plan whose weight changes so many ready lanes of each class change their place: those that are
-- the furthest behind. Others are served by their new weight from their next turn on.
local RESCALED_MAX = 1000

local function weight_at(k, target)
    return tonumber(call('HGET', k.controls .. 'weight', target) or '')
end

local function weight_of_plan(k, plan)
    return plan and weight_at(k, 'plan:' .. plan) or 1
end

-- By how much service a ready lane is ahead of its class' virtual time, times `factor`.
local function rescale(k, class, lane, factor)
    local tag = tonumber(call('ZSCORE', k.readies[class], lane) or '')
    local vt = tag and tonumber(call('HGET', k.meta, VT[class]) or 0)
    if tag and tag > vt then
        call('ZADD', k.readies[class], 'XX', format('%d', math.ceil(vt + (tag - vt) * factor)), lane)
    end
end

local function rescale_user(k, user, old, new)
    for class = 0, old ~= new and 2 or -1 do rescale(k, class, user, old / new) end
end

local function targets_of(lanes)
    local targets = {}
    for i, lane in ipairs(lanes) do targets[i] = 'user:' .. lane end
    return targets
end

local function rescale_plan(k, plan, old, new)
    for class = 0, 2 do
        local lanes = call('ZREVRANGE', k.readies[class], 0, RESCALED_MAX - 1)
        local targets = targets_of(lanes)
        local plans = #lanes > 0 and call('HMGET', k.controls .. 'plan', unpack(targets))
        local own = #lanes > 0 and call('HMGET', k.controls .. 'weight', unpack(targets))
        for i, lane in ipairs(lanes) do
            if plans[i] == plan and not own[i] then rescale(k, class, lane, old / new) end
        end
    end
end

control.kinds.weight = {
    read = function(_, value) return tostring(value.weight) end,
    changed = function(k, target, old, new)
        local user, plan = target:match('^user:(.*)$'), target:match('^plan:(.*)$')
        if user then
            local other = weight_of_plan(k, call('HGET', k.controls .. 'plan', target))
            rescale_user(k, user, tonumber(old or other), tonumber(new or other))
        elseif plan then
            rescale_plan(k, plan, tonumber(old or 1), tonumber(new or 1))
        end
    end,
}

control.kinds.plan = {
    read = function(_, value) return value.plan end,
    changed = function(k, target, old, new)
        if weight_at(k, target) then return end
        rescale_user(k, sub(target, #'user:' + 1), weight_of_plan(k, old), weight_of_plan(k, new))
    end,
}

-- Plans of users that have no weight of their own: their weights, in the places of those.
local function add_plans(k, weights, targets)
    local plans = call('HMGET', k.controls .. 'plan', unpack(targets))
    local known = {}
    for i, plan in ipairs(plans) do
        if plan and not weights[i] then
            known[plan] = known[plan] or weight_of_plan(k, plan)
            weights[i] = known[plan]
        end
    end
end

-- args[at + 3] of each of these places is what the lane args[at] has cost: that becomes what it counts.
function control.weigh(k, places, args)
    local rules = control.rules_of(k)
    if not control.has(rules, 'weight') then return end
    local lanes = {}
    for n, at in ipairs(places) do lanes[n] = args[at] end
    for from = 1, #lanes, UNPACK_MAX do
        local targets = targets_of({ unpack(lanes, from, math.min(from + UNPACK_MAX - 1, #lanes)) })
        local weights = call('HMGET', k.controls .. 'weight', unpack(targets))
        if control.has(rules, 'plan') then add_plans(k, weights, targets) end
        for i, weight in ipairs(weights) do
            local at = places[from + i - 1] + 3
            if weight then args[at] = math.ceil(args[at] / weight) end
        end
    end
end

end
