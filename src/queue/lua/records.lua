-- Records and ids of operations.

local record_of, content_of, content_of_submission, with_content, expires_at, unexpiring, with_attempts, attempted,
    has_flag, flagged, unflagged, crashed, class_of, id_of, user_of, submitted_at, attempts_of, op_of, new_id

do

local function flow_tail(flow)
    local batch = flow.batch or ''
    return struct.pack(FLOW, PRIORITIES[flow.priority] or 0, flow.expires_ms or 0, #batch) .. batch .. '\0'
end

function record_of(o, at_us)
    local user, op, thread, payload, trace, policy = o.user, o.op, o.thread, o.payload, o.trace, o.policy
    local flow = o.flow and (o.flow.priority or o.flow.expires_ms or o.flow.batch) and o.flow
    local flags = (o.reply and FLAG_REPLY or 0) + (o.journal and FLAG_JOURNAL or 0) + (policy and FLAG_POLICY or 0)
        + (flow and FLAG_FLOW or 0) + (o.is_fresh and FLAG_FRESH or 0)
    local record = struct.pack(HEADER, RECORD_VERSION, flags, #user, #op, #thread, #trace, o.attempt or 0, 0,
        #payload, o.submitted_us or at_us)
        .. o.id .. '\0' .. user .. '\0' .. op .. '\0' .. thread .. '\0' .. payload .. '\0' .. trace .. '\0'
    if policy then
        record = record .. struct.pack(POLICY, policy.attempts or 0, ON_FAILURE[policy.on_failure] or 0,
            policy.backoff_ms or 0, policy.backoff_max_ms or 0, policy.deadline_ms or 0)
    end
    return flow and record .. flow_tail(flow) or record
end

-- What makes two submissions the same: user, op, thread and payload, with a NUL between them.
function content_of(record)
    local _, _, user, op, thread, _, _, _, payload = struct.unpack(HEADER, record)
    local from = HEADER_SIZE + ID_SIZE + 2
    return sub(record, from, from + user + op + thread + payload + 2)
end

function content_of_submission(o)
    return o.user .. '\0' .. o.op .. '\0' .. o.thread .. '\0' .. o.payload
end

-- The same with another thread and payload.
function with_content(record, o)
    local version, flags, user, op, thread, trace, attempts, crashes, payload, at_us = struct.unpack(HEADER, record)
    local from = HEADER_SIZE + ID_SIZE + 1
    return struct.pack(HEADER, version, flags, user, op, #o.thread, trace, attempts, crashes, #o.payload, at_us)
        .. sub(record, HEADER_SIZE + 1, from) .. content_of_submission(o)
        .. sub(record, from + user + op + thread + payload + 4)
end

-- Where its expiry stands; nil where it has none.
local function expiry_place(record)
    if not has_flag(record, FLAG_FLOW) then return nil end
    local _, _, user, op, thread, trace, _, _, payload = struct.unpack(HEADER, record)
    return HEADER_SIZE + ID_SIZE + user + op + thread + trace + payload + 8
        + (has_flag(record, FLAG_POLICY) and POLICY_SIZE or 0)
end

-- When it ends unless it has begun, in ms; nil: never.
function expires_at(record)
    local place = expiry_place(record)
    local after_ms = place and struct.unpack('>I8', record, place) or 0
    return after_ms > 0 and math.floor(submitted_at(record) / 1000) + after_ms or nil
end

-- One that does not expire any more.
function unexpiring(record)
    local place = expiry_place(record)
    return place and sub(record, 1, place - 1) .. struct.pack('>I8', 0) .. sub(record, place + 8) or record
end

function with_attempts(record, attempts)
    return sub(record, 1, 8) .. struct.pack('>H', math.min(attempts, 65535)) .. sub(record, 11)
end

function attempts_of(record) return (struct.unpack('>H', record, 9)) end

function attempted(record)
    return with_attempts(record, attempts_of(record) + 1)
end

function has_flag(record, flag)
    return math.floor(byte(record, 2) / flag) % 2 == 1
end

function flagged(record, flag)
    if has_flag(record, flag) then return record end
    return sub(record, 1, 1) .. string.char(byte(record, 2) + flag) .. sub(record, 3)
end

function unflagged(record, flag)
    if not has_flag(record, flag) then return record end
    return sub(record, 1, 1) .. string.char(byte(record, 2) - flag) .. sub(record, 3)
end

function crashed(record, poison_crashes)
    local crashes = struct.unpack('>H', record, 11) + 1
    if crashes >= poison_crashes then record = flagged(record, FLAG_POISON) end
    return sub(record, 1, 10) .. struct.pack('>H', math.min(crashes, 65535)) .. sub(record, 13)
end

function submitted_at(record) return struct.unpack('>I8', record, 17) end -- in µs

-- Its priority's number; 0: normal.
function class_of(record)
    if not has_flag(record, FLAG_FLOW) then return 0 end
    local _, _, user, op, thread, trace, _, _, payload = struct.unpack(HEADER, record)
    return byte(record, HEADER_SIZE + ID_SIZE + user + op + thread + trace + payload + 7
        + (has_flag(record, FLAG_POLICY) and POLICY_SIZE or 0))
end

function id_of(record)
    return sub(record, HEADER_SIZE + 1, HEADER_SIZE + ID_SIZE)
end

function user_of(record)
    local size = struct.unpack('>H', record, 3)
    return sub(record, HEADER_SIZE + ID_SIZE + 2, HEADER_SIZE + ID_SIZE + 1 + size)
end

function op_of(record)
    local user, op = struct.unpack('>HB', record, 3)
    local from = HEADER_SIZE + ID_SIZE + 3 + user
    return sub(record, from, from + op - 1)
end

local hex_of = {} -- of each byte

-- A UUID (version 8): µs since the epoch, partition, counter, salt. Those of one call differ by the
-- counter alone; `call_heads` keeps what they share.
function new_id(p, at_us, call_heads)
    if not process_salt then
        process_salt = sub(redis.sha1hex(SALT .. tostring({}) .. tostring(call)), 1, 8)
        for i = 0, 255 do hex_of[i] = format('%02x', i) end
    end
    id_count = (id_count + 1) % 0x40000
    local low, middle = id_count % 0x100, id_count % 0x10000
    local top = 8 + (id_count - middle) / 0x10000
    local head = call_heads[top]
    if not head then
        local high = math.floor(at_us / 0x1000)
        head = format('%08x-%04x-8%03x-%x%03x-', math.floor(high / 0x10000), high % 0x10000, at_us % 0x1000, top, p)
        call_heads[top] = head
    end
    return head .. hex_of[(middle - low) / 0x100] .. hex_of[low] .. process_salt
end

end
