-- Submission: what web tiers and the relay call.

local read_option, take_wish, class_asked, open_batch, put_in_lane, write_batch, submit, submit_many

do

-- The journal speaks again of an operation that is here: something was decided about it. A lane that
-- waits or is halted for it looks at it once more; one that is claimed does so when it is settled.
local function look_again(k, o, record)
    batches.hand_over(k, record)
    record = flagged(with_attempts(record, o.attempt or 0), FLAG_JOURNAL)
    if not (o.flow and o.flow.expires_ms) then record = unexpiring(record) end
    if call('ZREM', k.scheduled, o.id) == 1 then
        local b = open_batch(k)
        b.records = { o.id, record }
        put_in_lane(b, o.user, o.id, class_of(record))
        return write_batch(b)
    end
    local reason = call('HGET', k.halted, o.user)
    if (reason or call('ZSCORE', k.waiting, o.user)) and awaited(k, o.user) ~= o.id then
        -- It is not what the lane waits for.
    elseif reason and reason ~= 'suspect' then
        call('HDEL', k.halted, o.user)
        make_ready(k, o.user)
    elseif end_wait(k, { o.user }) == 1 then
        make_ready(k, o.user)
    elseif not is_ready(k, o.user) then
        record = flagged(record, FLAG_LOOK)
    end
    call('HSET', k.ops, o.id, record)
end

-- {id, state} of the operation that has the submission's key; nil where there is none.
local function same_by_key(k, o, rules)
    local id, record = find_unique(k, o)
    if not id then return nil end
    if o.reply then return { id, wish_for(k, id, rules) } end
    local result = not record and find_result(k, id)
    return { id, record and state_of(k, id, record, rules) or result and result.state or 'unknown' }
end

-- The same id again: {id, state} where it is the same operation, an error where it is not, nil
-- where Redis does not know the id.
local function submitted_before(k, o, rules)
    local record = call('HGET', k.ops, o.id)
    if record then
        if content_of(record) ~= content_of_submission(o) then
            return refuse('conflict', 'the id is in use by another operation')
        end
        if o.reply then call('HINCRBY', k.replies, o.id, 1) end
        if o.journal then look_again(k, o, record) end
        return { o.id, state_of(k, o.id, record, rules) }
    end
    local result = find_result(k, o.id)
    if not result then return nil end
    if result.digest ~= digest_of(content_of_submission(o)) then
        return refuse('conflict', 'the id is in use by another operation')
    end
    if o.reply then push_reply(k, o.id, result.text, 1, result.ttl_ms) end
    return { o.id, result.state }
end

-- A whole number from 1 to `most`, or an error.
local function read_number(name, value, most)
    local number = find(value, '^%d+$') and #value <= 15 and tonumber(value)
    if number and number >= 1 and number <= most then return number end
    return nil, refuse('invalid', 'option ' .. name .. format(' must be a whole number from 1 to %.0f', most))
end

local function read_policy(o, name, value)
    o.policy = o.policy or {}
    if name == 'on_failure' then
        if not ON_FAILURE[value] then return refuse('invalid', 'option on_failure must be block, park or halt') end
        o.policy.on_failure = value
        return nil
    end
    local problem
    o.policy[name], problem = read_number(name, value, POLICY_MOST[name])
    return problem
end

local function read_flow(o, name, value)
    local problem
    o.flow = o.flow or {}
    if FLOW_MOST[name] then
        o.flow[name], problem = read_number(name, value, FLOW_MOST[name])
        return problem
    elseif FLOW_SIZES[name] then
        if value == '' or #value > FLOW_SIZES[name] or not is_utf8(value) then
            return refuse('invalid', 'option ' .. name .. ' must be 1 to ' .. FLOW_SIZES[name] .. ' bytes of UTF-8 without NUL')
        end
    elseif name == 'priority' then
        if not PRIORITIES[value] then
            return refuse('invalid', 'option priority must be interactive, normal or bulk')
        end
        if value == 'normal' then value = nil end
    else
        if value ~= '0' and value ~= '1' then return refuse('invalid', 'option replace must be 0 or 1') end
        value = value == '1'
    end
    o.flow[name] = value
end

local function check_flow(flow)
    if flow.delay_ms and flow.at_ms then
        return refuse('invalid', 'options delay_ms and at_ms exclude each other')
    elseif (flow.unique_ms or flow.replace) and not flow.unique_key then
        return refuse('invalid', 'options unique_ms and replace need unique_key')
    end
end

-- An error where the value is not fit.
function read_option(o, name, value)
    if name == 'id' then
        if not find(value, UUID) then return refuse('invalid', 'option id must be a UUID') end
        o.id = value:lower()
    elseif name == 'reply' then
        if value ~= '0' and value ~= '1' then return refuse('invalid', 'option reply must be 0 or 1') end
        o.reply = value == '1'
    elseif name == 'trace' then
        if #value > TRACE_MAX or not is_utf8(value) then
            return refuse('invalid', 'option trace must be at most 512 bytes of UTF-8')
        end
        o.trace = value
    elseif name == 'on_failure' or POLICY_MOST[name] then
        return read_policy(o, name, value)
    elseif FLOW_MOST[name] or FLOW_SIZES[name] or name == 'priority' or name == 'replace' then
        return read_flow(o, name, value)
    elseif name == 'journal' then
        o.journal = value == '1'
    elseif name == 'attempt' or name == 'submitted_us' then
        o[name] = tonumber(value)
    else
        return refuse('invalid', 'unknown option; allowed are ' .. OPTIONS)
    end
end

-- Reads USER OP THREAD PAYLOAD at args[at] and the options in args[from] to args[to] into `o`; an error
-- where they are not fit.
local function read_submission(o, args, at, from, to, payload_max)
    local user, op, thread, payload = args[at], args[at + 1], args[at + 2], args[at + 3]
    if not hash_of(user) then
        return refuse('invalid', 'user must be 1 to 256 bytes of UTF-8 without NUL')
    end
    if #op > OP_MAX or not find(op, '^[a-z0-9_.]+$') then
        return refuse('invalid', 'op must be 1 to 64 characters of a-z0-9_.')
    end
    if thread ~= '' and (#thread > THREAD_MAX or not is_utf8(thread)) then
        return refuse('invalid', 'thread must be at most 64 bytes of UTF-8 without NUL')
    end
    if #payload > payload_max then
        return refuse('invalid', 'payload must be at most ' .. payload_max .. ' bytes')
    end
    if payload == '' then payload = '{}' end
    o.user, o.op, o.thread, o.payload, o.trace, o.id = user, op, thread, payload, '', nil
    o.reply, o.journal, o.attempt, o.submitted_us, o.policy, o.flow, o.is_fresh = nil, nil, nil, nil, nil, nil, nil
    for n = from, to, 2 do
        local problem = read_option(o, args[n], args[n + 1])
        if problem then return problem end
    end
    return o.flow and check_flow(o.flow)
end

-- A reply may be wanted of an operation that Redis has still to hear of; so far that wish has an end.
function take_wish(k, id)
    local count = call('GETDEL', k.base .. 'wish:' .. id)
    if count then call('HINCRBY', k.replies, id, count) end
end

function class_asked(o) return o.flow and PRIORITIES[o.flow.priority] or 0 end

-- What one call has taken in and not yet written: a class' operations of a lane go into it together.
function open_batch(k, rules)
    return { k = k, rules = rules, at_us = now(), count = 0, unwritten = 0, records = {}, parts = {}, batches = {},
        heads = {}, used = {} }
end

-- The lane has its first operations of this class -> whether it had none at all.
local function begin_class(k, lane, class)
    if class > 0 then
        note_class(k, lane)
    elseif not has_classes(k) then
        return true
    end
    if call('EXISTS', k.lists[(class + 1) % 3] .. lane, k.lists[(class + 2) % 3] .. lane) == 0 then return true end
    turn_lane(k, lane)
    return false
end

function put_in_lane(b, lane, id, class)
    local part = b.parts[class]
    if not part then
        part = { lanes = {}, ids = {} }
        b.parts[class] = part
    end
    local ids = part.ids[lane]
    if ids then
        ids[#ids + 1] = id
    else
        part.ids[lane], part.lanes[#part.lanes + 1] = { id }, lane
    end
end

function write_batch(b)
    local k, new = b.k, {}
    in_chunks('HSET', k.ops, b.records)
    for class, part in pairs(b.parts) do
        local list = k.lists[class]
        for _, lane in ipairs(part.lanes) do
            local ids = part.ids[lane]
            if call('RPUSH', list .. lane, unpack(ids)) == #ids and begin_class(k, lane, class) then
                new[#new + 1] = lane
            end
        end
    end
    if #new > 0 then make_all_ready(k, new) end
    batches.add(k, b.batches)
    b.records, b.parts, b.batches, b.unwritten = {}, {}, {}, 0
end

-- When it is due, in µs; nil where that is now. The journal has its own ways to wait.
local function due_of(o, at_us)
    local flow = not o.journal and o.flow
    local due_us = flow and (flow.at_ms and flow.at_ms * 1000 or flow.delay_ms and at_us + flow.delay_ms * 1000)
    return due_us and due_us > at_us and due_us
end

-- Whoever sleeps until something else is due has to hear of an earlier one.
local function schedule(k, id, due_us)
    call('ZADD', k.scheduled, format('%.3f', due_us / 1000), id)
    if call('ZRANK', k.scheduled, id) == 0 then wake(k, 1) end
end

-- Each has a time of its own in its record, so that the order can be seen: when its turn in the lane begins.
local function enqueue(b, o)
    local k, is_unique = b.k, o.flow and o.flow.unique_key and not o.journal
    if o.id then
        -- It may stand in this very call.
        if b.has_ids then write_batch(b) end
        local known = submitted_before(k, o, b.rules)
        if known then return known end
    end
    if is_unique then
        write_batch(b)
        local known = same_by_key(k, o, b.rules)
        if known then return known end
    end
    -- What the journal has accepted is not refused any more.
    local problem = (b.rules or o.flow) and not o.journal and control.refusal(b, o)
    if problem then return problem end
    if o.id then
        take_wish(k, o.id)
        b.has_ids = true
    else
        o.id = new_id(k.partition, b.at_us, b.heads)
    end
    if is_unique then hold_unique(k, o) end
    if o.reply then call('HINCRBY', k.replies, o.id, 1) end
    local records, id, n, at_us = b.records, o.id, b.unwritten, b.at_us + b.count
    local due_us = o.flow and due_of(o, at_us)
    if b.rules then control.count_in(b, o, due_us) end
    if due_us then schedule(k, id, due_us) else put_in_lane(b, o.user, id, class_asked(o)) end
    records[n + 1], records[n + 2] = id, record_of(o, due_us or at_us)
    b.unwritten, b.count = n + 2, b.count + 1
    local name = o.flow and not o.journal and o.flow.batch
    if name then b.batches[name] = (b.batches[name] or 0) + 1 end
    if due_us then return { id, 'scheduled' } end
    return { id, control.is_paused(k, b.rules, o.user, o.op) and 'paused' or 'queued' }
end

function submit(k, args)
    if #args < 4 or #args % 2 ~= 0 then
        return refuse('invalid', 'expected USER OP THREAD PAYLOAD [OPTION VALUE]...')
    end
    local meta = call('HMGET', k.meta, 'partitions', 'payload_max', 'rules')
    if not meta[1] then return refuse('version', NOT_SET_UP) end
    local o = {}
    local problem = read_submission(o, args, 1, 5, #args, tonumber(meta[2]))
    if problem then return problem end
    if partition_of(o.user, tonumber(meta[1])) ~= k.partition then
        return refuse('invalid', 'the user belongs to another partition')
    end
    local batch = open_batch(k, meta[3])
    local answer = enqueue(batch, o)
    write_batch(batch)
    return answer
end

-- Where each submission of a call with many stands, {first argument, last argument, …}; nil where
-- they make no sense.
local function places_of_many(args)
    local places, n, i, count = {}, 0, 1, #args
    while i <= count do
        local pairs_count = tonumber(args[i + 4])
        local last = pairs_count and i + 4 + 2 * pairs_count
        if not last or pairs_count < 0 or pairs_count % 1 ~= 0 or last > count or n == 2 * MANY_MAX then
            return nil
        end
        places[n + 1], places[n + 2] = i, last
        n, i = n + 2, last + 1
    end
    return places
end

-- USER OP THREAD PAYLOAD N and N pairs OPTION VALUE, up to 256 times; an answer or error each.
function submit_many(k, args)
    local meta = call('HMGET', k.meta, 'partitions', 'payload_max', 'rules')
    if not meta[1] then return refuse('version', NOT_SET_UP) end
    local places = places_of_many(args)
    if not places then
        return refuse('invalid', 'expected up to 256 times USER OP THREAD PAYLOAD N [OPTION VALUE]...')
    end
    local answers, batch, o = {}, open_batch(k, meta[3]), {}
    local partitions, payload_max = tonumber(meta[1]), tonumber(meta[2])
    for i = 1, #places, 2 do
        local at = places[i]
        local problem = read_submission(o, args, at, at + 5, places[i + 1], payload_max)
        if not problem and partition_of(o.user, partitions) ~= k.partition then
            problem = refuse('invalid', 'the user belongs to another partition')
        end
        answers[(i + 1) / 2] = problem or enqueue(batch, o)
    end
    write_batch(batch)
    return answers
end

end
