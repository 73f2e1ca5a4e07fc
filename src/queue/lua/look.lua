-- Looking: what operators ask about lanes and operations. Nothing here changes anything.

local look_lanes, why

do

local LOOK_COUNT, SCANS = 200, { ready = 'ZSCAN', waiting = 'ZSCAN' }
local CLASSES = { [0] = 'normal', 'interactive', 'bulk' }
local PLACE_MOST = 100000 -- beyond it, how many come first is not counted

-- The operation that a lane waits for, or that comes next in it.
local function first_of(k, lane, state)
    if state == 'waiting' or state == 'halted' then return awaited(k, lane) end
    return next_ids(k, lane, 1, has_classes(k) and call('HGET', k.classed, lane))[1]
end

-- What is told of any lane, wherever it stands.
local function lane_row(k, lane, state)
    local row = { user = lane, state = state, backlog = 0 }
    for class = 0, has_classes(k) and 2 or 0 do row.backlog = row.backlog + call('LLEN', k.lists[class] .. lane) end
    local id = first_of(k, lane, state)
    local record = id and call('HGET', k.ops, id)
    if record then row.first_ms = math.floor(submitted_at(record) / 1000) end
    return row, id, record
end

-- COLLECTION CURSOR: of ready, ready:urgent, ready:bulk, waiting, halted or held:INC -> [next cursor, row, …]: some
-- of its lanes, each a JSON object {user, state, backlog, first_ms}
function look_lanes(k, args)
    local kind = args[1]:match('^%a+')
    local page = call(SCANS[kind] or 'HSCAN', k.base .. args[1], args[2], 'COUNT', LOOK_COUNT)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        answer[#answer + 1] = cjson.encode((lane_row(k, page[2][i], kind == 'held' and 'claimed' or kind)))
    end
    return answer
end

local function operation_told(id, record, at_ms)
    local expires_ms = expires_at(record)
    return {
        has_expired = expires_ms and attempts_of(record) == 0 and expires_ms < at_ms or nil,
        id = id, op = op_of(record), submitted_ms = math.floor(submitted_at(record) / 1000),
        attempt = attempts_of(record), class = CLASSES[class_of(record)], is_cancelled = has_flag(record, FLAG_CANCELLED),
    }
end

-- What a lane's place tells of it.
local told_by = {}

-- How many lanes come before it, and how much service it is ahead of its share.
function told_by.ready(k, lane, told)
    for class = 0, 2 do
        local tag = call('ZSCORE', k.readies[class], lane)
        if tag then
            told.before = call('ZRANK', k.readies[class], lane)
            told.ahead_us = tonumber(tag) - tonumber(call('HGET', k.meta, VT[class]) or 0)
        end
    end
end

function told_by.held(k, lane, told, holder, at_ms)
    local _, tag, count, class = read_held(call('HGET', k.base .. 'held:' .. holder, lane))
    told.state, told.holder, told.claimed = 'claimed', holder, count
    told.ahead_us = tag - tonumber(call('HGET', k.meta, VT[class]) or 0)
    told.lease_left_ms = tonumber(call('ZSCORE', k.beats, holder)) - at_ms
end

function told_by.waiting(k, lane, told)
    local until_ms = tonumber(call('ZSCORE', k.waiting, lane))
    told.reason = call('HGET', k.waits, lane) or nil
    told.until_ms = until_ms < FAR_MS and until_ms or nil
    if told.reason and until_ms >= FAR_MS then
        -- Of those that stand in line for a shared limit.
        told.in_line = call('ZRANK', k.line .. told.reason, lane) or nil
        local first_ms = told.in_line and tonumber(call('ZSCORE', k.lines, told.reason))
        if first_ms and first_ms < FAR_MS then told.line_ms = first_ms end
    end
end

function told_by.halted(k, lane, told)
    told.reason = call('HGET', k.halted, lane)
end

local function lane_told(k, lane, at_ms)
    local place = places_of(k, lane)[1]
    local kind, holder = (place and place.name or 'idle'):match('^(%a+):?(.*)$')
    local told, id, record = lane_row(k, lane, kind)
    if record then told.first = operation_told(id, record, at_ms) end
    if place then
        told_by[kind](k, lane, told, holder, at_ms)
    elseif told.backlog > 0 then
        told.state = 'lost'
    end
    return told
end

-- LANE ID, either may be empty -> all that this partition knows at this moment of the operation and its
-- lane, as a JSON object; nil where it knows nothing:
--   partition, at_ms, processors (that beat in time), awaits_controls
--   operation {id, op, submitted_ms, attempt, is_cancelled, has_expired, class, before: how many of its
--     class come first, scheduled_ms where it is in no lane yet}
--   ended: as which of STATES, where a result is kept
--   lane {user, state: ready, claimed, waiting, halted, idle or lost; backlog, first: an operation, and what told_by adds}
--   paused: the control that pauses the lane's first operation
function why(k, args)
    local lane, id, at_ms = args[1], args[2]:lower(), now_ms()
    local record, result = call('HGET', k.ops, id), find_result(k, id)
    if record then lane = user_of(record) end
    if lane == '' and not result then return false end
    local rules = control.rules_of(k)
    local told = {
        partition = k.partition, at_ms = at_ms, processors = call('ZCOUNT', k.beats, at_ms + 1, '+inf'),
        awaits_controls = control.has(rules, 'awaits') and true, ended = result and result.state,
    }
    if lane ~= '' then told.lane = lane_told(k, lane, at_ms) end
    if record then
        told.operation = operation_told(id, record, at_ms)
        told.operation.scheduled_ms = tonumber(call('ZSCORE', k.scheduled, id) or nil)
        told.operation.before = call('LPOS', k.lists[class_of(record)] .. lane, id, 'MAXLEN', PLACE_MOST) or nil
    end
    local first = told.lane and told.lane.first
    if first then told.paused = control.pausing(k, rules, lane, first.op) end
    return cjson.encode(told)
end

end
