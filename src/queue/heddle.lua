#!lua name=heddle
--[[ The queue: all of its state changes, as Redis functions.

Keys of partition P, all in one slot (B = "heddle:{P}:"):

  B meta           hash    partitions, payload_max, vt (virtual time, in µs of service)
  B ops            hash    operation id -> record: every operation that has not ended
  B lane:LANE      list    ids of the lane's operations, the oldest first
  B ready          zset    lane -> start tag: lanes that wait for a processor
  B held:INC       hash    lane -> "seq:tag:count": lanes that the processor INC has claimed
  B waiting        zset    lane -> due time in ms: lanes that wait for a time
  B halted         hash    lane -> reason: lanes that wait for somebody
  B beats          zset    INC -> the time in ms at which its claims expire
  B idle           set     processors that found nothing and want to be woken
  B replies        hash    id -> how many submissions asked for a reply
  B reply:ID       list    a result for each of them, for result_ttl
  B result:ID      string  a result that the ledger does not keep, for result_ttl

Invariant: a lane with operations is in exactly one of ready, held:*, waiting, halted; one without
is in none. A claimed operation stays in its lane until it is settled, so no crash loses it.

Ready lanes are served in the order of their start tags: start-time fair queueing (P. Goyal,
H. Vin, H. Cheng, 1996) with measured execution time as the cost. A lane that turns empty leaves
nothing behind.

A record is a header (see HEADER), then id, user, op, thread, payload, trace, a NUL behind each, so
that a C program can use them where they are. ]]

local VERSION = 1
local HEADER = '>BBHBBHHHI4I8' -- version, flags, user, op, thread, trace sizes, attempts, crashes, payload size, µs
local HEADER_SIZE, ID_SIZE = 24, 36
local RECORD_VERSION, FLAG_REPLY, FLAG_JOURNAL, FLAG_POISON = 1, 1, 2, 4
local USER_MAX, OP_MAX, THREAD_MAX, TRACE_MAX = 256, 64, 64, 512
local MANY_MAX, UNPACK_MAX, WAKE_TRIES, REBUILD_DEPTH = 256, 4000, 8, 2000
local STATES = { d = 'done', f = 'failed', x = 'dead', c = 'cancelled' }
local OPTIONS = 'id, reply, trace' -- and journal, which is the relay's

-- Redis seeds math.random alike at each call, and a failover forgets a counter. So an id's salt is
-- of the load (SALT) and of this process (the address of a table).
local SALT = '@SALT@'
local process_salt
local id_count = 0

-- While a library loads, none of Lua's own functions are there: the first call fetches them.
local call, sub, byte, find, format, UUID

local function open()
    call = redis.call
    sub, byte, find, format = string.sub, string.byte, string.find, string.format
    UUID = '^' .. ('%x'):rep(8) .. ('%-' .. ('%x'):rep(4)):rep(3) .. '%-' .. ('%x'):rep(12) .. '$'
end

-- Keys --------------------------------------------------------------------------------------------

local keys_of = {}

local function keys(p)
    local k = keys_of[p]
    if not k then
        local base = 'heddle:{' .. p .. '}:'
        k = { partition = p, base = base, lane = base .. 'lane:' }
        for _, name in ipairs { 'meta', 'ops', 'ready', 'waiting', 'halted', 'beats', 'idle', 'replies' } do
            k[name] = base .. name
        end
        keys_of[p] = k
    end
    return k
end

-- The partition that a call names by its one key.
local function named(keys_given)
    local p = keys_given[1] and tonumber(keys_given[1]:match('^heddle:{(%d+)}$'))
    if not p then
        return nil, redis.error_reply('HEDDLE invalid the key must be heddle:{P}, P a partition')
    end
    return keys(p)
end

local function refuse(code, text)
    return redis.error_reply('HEDDLE ' .. code .. ' ' .. text)
end

local function now()
    local time = call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
    return math.floor(now() / 1000)
end

-- Calls `command key …` with a list of any length.
local function in_chunks(command, key, list)
    for i = 1, #list, UNPACK_MAX do
        call(command, key, unpack(list, i, math.min(i + UNPACK_MAX - 1, #list)))
    end
end

local function is_utf8(text)
    if not find(text, '[%z\128-\255]') then return true end
    local i, size = 1, #text
    while i <= size do
        local a, b = byte(text, i, i + 1)
        local more
        if a < 0x80 then more = 0
        elseif a >= 0xC2 and a <= 0xDF then more = 1
        elseif a >= 0xE0 and a <= 0xEF then more = 2
        elseif a >= 0xF0 and a <= 0xF4 then more = 3
        else return false end
        if a == 0 or i + more > size then return false end
        if (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F)
            or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F) then
            return false
        end
        for k = i + 1, i + more do
            local c = byte(text, k)
            if c < 0x80 or c > 0xBF then return false end
        end
        i = i + more + 1
    end
    return true
end

-- Lanes -------------------------------------------------------------------------------------------

-- Wakes one processor that is known to listen: no herd, and a dead one is passed over.
local function wake(k)
    for _ = 1, WAKE_TRIES do
        local incarnation = call('SPOP', k.idle)
        if not incarnation then return end
        if call('PUBLISH', 'heddle:wake:' .. incarnation, k.partition) > 0 then return end
    end
end

-- Each arrival moves the virtual time on by a µs: lanes that come later stand behind, and no stream
-- of new lanes can hold back an old one for ever.
local function make_ready(k, lane, tag)
    local vt = call('HINCRBY', k.meta, 'vt', 1)
    if tag and tag > vt then vt = tag end
    call('ZADD', k.ready, vt, lane)
    wake(k)
end

-- Records -----------------------------------------------------------------------------------------

local function record_of(o, at_us)
    return struct.pack(HEADER, RECORD_VERSION, (o.reply and FLAG_REPLY or 0) + (o.journal and FLAG_JOURNAL or 0), #o.user, #o.op, #o.thread,
        #o.trace, 0, 0, #o.payload, at_us)
        .. o.id .. '\0' .. o.user .. '\0' .. o.op .. '\0' .. o.thread .. '\0' .. o.payload .. '\0'
        .. o.trace .. '\0'
end

-- What makes two submissions the same: user, op, thread and payload with their sizes.
local function content_of(record)
    local _, _, user, op, thread, _, _, _, payload = struct.unpack(HEADER, record)
    local from = HEADER_SIZE + ID_SIZE + 2
    return sub(record, 3, 6) .. sub(record, 13, 16)
        .. sub(record, from, from + user + op + thread + payload + 2)
end

local function attempted(record)
    local attempts = struct.unpack('>H', record, 9)
    return sub(record, 1, 8) .. struct.pack('>H', math.min(attempts + 1, 65535)) .. sub(record, 11)
end

local function crashed(record, poison_crashes)
    local flags, crashes = byte(record, 2), struct.unpack('>H', record, 11) + 1
    if crashes >= poison_crashes and flags < FLAG_POISON then flags = flags + FLAG_POISON end
    return sub(record, 1, 1) .. string.char(flags) .. sub(record, 3, 10)
        .. struct.pack('>H', math.min(crashes, 65535)) .. sub(record, 13)
end

local function user_of(record)
    local size = struct.unpack('>H', record, 3)
    return sub(record, HEADER_SIZE + ID_SIZE + 2, HEADER_SIZE + ID_SIZE + 1 + size)
end

-- A UUID (version 8): µs since the epoch, partition, counter, salt.
local function new_id(p, at_us)
    process_salt = process_salt or sub(redis.sha1hex(SALT .. tostring({}) .. tostring(call)), 1, 8)
    id_count = (id_count + 1) % 0x40000
    local high = math.floor(at_us / 0x1000)
    return format('%08x-%04x-8%03x-%x%03x-%04x%s', math.floor(high / 0x10000), high % 0x10000,
        at_us % 0x1000, 8 + math.floor(id_count / 0x10000), p, id_count % 0x10000, process_salt)
end

-- Submission --------------------------------------------------------------------------------------

local function state_of(k, id, record)
    local lane = user_of(record)
    if call('ZSCORE', k.waiting, lane) then return 'retrying' end
    if call('HEXISTS', k.halted, lane) == 1 then return 'halted' end
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        local claim = call('HGET', k.base .. 'held:' .. incarnation, lane)
        if claim then
            local count = tonumber(claim:match(':(%d+)$'))
            local place = call('LPOS', k.lane .. lane, id, 'MAXLEN', count)
            return place and 'running' or 'queued'
        end
    end
    return 'queued'
end

local function push_reply(k, id, result, count, ttl_ms)
    local key = k.base .. 'reply:' .. id
    for _ = 1, count do call('RPUSH', key, result) end
    call('PEXPIRE', key, ttl_ms)
end

-- The same id again: {id, state} where it is the same operation, an error where it is not, nil
-- where Redis does not know the id.
local function submitted_before(k, o)
    local record = call('HGET', k.ops, o.id)
    if record then
        if content_of(record) ~= content_of(record_of(o, 0)) then
            return refuse('conflict', 'the id is in use by another operation')
        end
        if o.reply then call('HINCRBY', k.replies, o.id, 1) end
        return { o.id, state_of(k, o.id, record) }
    end
    local key = k.base .. 'result:' .. o.id
    local result = call('GET', key)
    if not result then return nil end
    if sub(result, 2, 41) ~= redis.sha1hex(content_of(record_of(o, 0))) then
        return refuse('conflict', 'the id is in use by another operation')
    end
    if o.reply then push_reply(k, o.id, sub(result, 42), 1, math.max(call('PTTL', key), 1000)) end
    return { o.id, STATES[sub(result, 1, 1)] }
end

-- Reads USER OP THREAD PAYLOAD and `pairs` options at args[i]; an error where they are not fit.
local function read_submission(args, i, pairs_count, payload_max)
    local o = { user = args[i], op = args[i + 1], thread = args[i + 2], payload = args[i + 3], trace = '' }
    if #o.user < 1 or #o.user > USER_MAX or not is_utf8(o.user) then
        return nil, refuse('invalid', 'user must be 1 to 256 bytes of UTF-8 without NUL')
    end
    if #o.op > OP_MAX or not find(o.op, '^[a-z0-9_.]+$') then
        return nil, refuse('invalid', 'op must be 1 to 64 characters of a-z0-9_.')
    end
    if #o.thread > THREAD_MAX or not is_utf8(o.thread) then
        return nil, refuse('invalid', 'thread must be at most 64 bytes of UTF-8 without NUL')
    end
    if #o.payload > payload_max then
        return nil, refuse('invalid', 'payload must be at most ' .. payload_max .. ' bytes')
    end
    if o.payload == '' then o.payload = '{}' end
    for n = i + 4, i + 3 + 2 * pairs_count, 2 do
        local name, value = args[n], args[n + 1]
        if name == 'id' then
            if not find(value, UUID) then return nil, refuse('invalid', 'option id must be a UUID') end
            o.id = value:lower()
        elseif name == 'reply' then
            if value ~= '0' and value ~= '1' then
                return nil, refuse('invalid', 'option reply must be 0 or 1')
            end
            o.reply = value == '1'
        elseif name == 'journal' then
            o.journal = value == '1'
        elseif name == 'trace' then
            if #value > TRACE_MAX or not is_utf8(value) then
                return nil, refuse('invalid', 'option trace must be at most 512 bytes of UTF-8')
            end
            o.trace = value
        else
            return nil, refuse('invalid', 'unknown option; allowed are ' .. OPTIONS)
        end
    end
    return o
end

local function enqueue(k, o, at_us)
    if o.id then
        local known = submitted_before(k, o)
        if known then return known end
    else
        o.id = new_id(k.partition, at_us)
    end
    call('HSET', k.ops, o.id, record_of(o, at_us))
    if o.reply then call('HINCRBY', k.replies, o.id, 1) end
    if call('RPUSH', k.lane .. o.user, o.id) == 1 then make_ready(k, o.user) end
    return { o.id, 'queued' }
end

local function partition_of(user, partitions)
    return tonumber(sub(redis.sha1hex(user), 1, 4), 16) % partitions
end

local NOT_SET_UP = 'Redis is not set up for Heddle: run heddle migrate'

local function submit(keys_given, args)
    local k, problem, partitions
    if #args < 4 or #args % 2 ~= 0 then
        return refuse('invalid', 'expected USER OP THREAD PAYLOAD [OPTION VALUE]...')
    end
    if #keys_given > 0 then
        k, problem = named(keys_given)
        if problem then return problem end
    else
        partitions = tonumber(call('GET', 'heddle:partitions') or '')
        if not partitions then return refuse('version', NOT_SET_UP) end
        k = keys(partition_of(args[1], partitions))
    end
    local meta = call('HMGET', k.meta, 'partitions', 'payload_max')
    if not meta[1] then return refuse('version', NOT_SET_UP) end
    local o
    o, problem = read_submission(args, 1, (#args - 4) / 2, tonumber(meta[2]))
    if problem then return problem end
    if partition_of(o.user, tonumber(meta[1])) ~= k.partition then
        return refuse('invalid', 'the user belongs to another partition')
    end
    return enqueue(k, o, now())
end

-- USER OP THREAD PAYLOAD N and N pairs OPTION VALUE, up to 256 times; an answer or error each.
local function submit_many(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local meta = call('HMGET', k.meta, 'partitions', 'payload_max')
    if not meta[1] then return refuse('version', NOT_SET_UP) end
    local starts, i = {}, 1
    while i <= #args do
        local pairs_count = tonumber(args[i + 4])
        if not pairs_count or pairs_count < 0 or pairs_count % 1 ~= 0
            or i + 4 + 2 * pairs_count > #args or #starts == MANY_MAX then
            return refuse('invalid', 'expected up to 256 times USER OP THREAD PAYLOAD N [OPTION VALUE]...')
        end
        starts[#starts + 1] = { i, pairs_count }
        i = i + 5 + 2 * pairs_count
    end
    local answers, at_us, partitions = {}, now(), tonumber(meta[1])
    for n, start in ipairs(starts) do
        local from, pairs_count = start[1], start[2]
        local o, answer = read_submission(args, from, 0, tonumber(meta[2]))
        if o and pairs_count > 0 then
            local flat = { o.user, o.op, o.thread, o.payload, unpack(args, from + 5, from + 4 + 2 * pairs_count) }
            o, answer = read_submission(flat, 1, pairs_count, tonumber(meta[2]))
        end
        if o and partition_of(o.user, partitions) ~= k.partition then
            o, answer = nil, refuse('invalid', 'the user belongs to another partition')
        end
        answers[n] = o and enqueue(k, o, at_us) or answer
    end
    return answers
end

local function find_status(k, id)
    local record = call('HGET', k.ops, id)
    if record then return { state_of(k, id, record), false } end
    local result = call('GET', k.base .. 'result:' .. id)
    if result then return { STATES[sub(result, 1, 1)], sub(result, 42) } end
    return { 'unknown', false }
end

local function status(keys_given, args)
    if #args ~= 2 then return refuse('invalid', 'expected USER ID') end
    if not find(args[2], UUID) then return refuse('invalid', 'ID must be a UUID') end
    local partitions = tonumber(call('GET', 'heddle:partitions') or '')
    if #keys_given > 0 then
        local k, problem = named(keys_given)
        if problem then return problem end
        return find_status(k, args[2]:lower())
    end
    if not partitions then return refuse('version', NOT_SET_UP) end
    return find_status(keys(partition_of(args[1], partitions)), args[2]:lower())
end

-- What partition P knows of an id, whoever's it is: [state, result].
local function lookup(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    if #args ~= 1 or not find(args[1], UUID) then return refuse('invalid', 'ID must be a UUID') end
    return find_status(k, args[1]:lower())
end

-- ID: a reply is wanted for an operation that somebody else has submitted, perhaps one that Redis has still to
-- hear of -> its state as Redis knows it; one that has ended is answered at once.
local function want(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local id = args[1] and args[1]:lower()
    if not id or not find(id, UUID) then return refuse('invalid', 'ID must be a UUID') end
    local key = k.base .. 'result:' .. id
    local result = call('GET', key)
    if result then
        push_reply(k, id, sub(result, 42), 1, math.max(call('PTTL', key), 1000))
        return STATES[sub(result, 1, 1)]
    end
    call('HINCRBY', k.replies, id, 1)
    local record = call('HGET', k.ops, id)
    return record and state_of(k, id, record) or 'unknown'
end

-- ID: one reply that was wanted is not any more.
local function unwant(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    if call('HEXISTS', k.replies, args[1]) == 1 and call('HINCRBY', k.replies, args[1], -1) <= 0 then
        call('HDEL', k.replies, args[1])
    end
    return redis.status_reply('OK')
end

-- Claiming ----------------------------------------------------------------------------------------

local function beat(k, incarnation, lease_ms)
    call('ZADD', k.beats, now_ms() + lease_ms, incarnation)
end

-- Lanes whose time has come are ready again.
local function wake_waiting(k, most)
    local due = call('ZRANGEBYSCORE', k.waiting, '-inf', now_ms(), 'LIMIT', 0, most)
    if #due == 0 then return end
    in_chunks('ZREM', k.waiting, due)
    for _, lane in ipairs(due) do make_ready(k, lane) end
end

-- The records of a lane's first operations. Ids without a record are no operations any more.
local function first_operations(k, lane, most)
    local ids = call('LRANGE', k.lane .. lane, 0, most - 1)
    if #ids == 0 then return ids end
    local records, kept = call('HMGET', k.ops, unpack(ids)), {}
    for i, id in ipairs(ids) do
        if records[i] then
            kept[#kept + 1] = records[i]
        else
            call('LREM', k.lane .. lane, 1, id)
        end
    end
    if #kept == 0 then return first_operations(k, lane, most) end
    return kept
end

local function held_text(seq, tag, count)
    return format('%s:%.0f:%d', seq, tag, count)
end

-- Gives lanes {name, tag, …} to a processor, within its caps; those beyond its bytes go back.
-- Appends name and records of each to `answer`.
local function give(k, claim, lanes, answer)
    local held, bytes = {}, 0
    for i = 1, #lanes, 2 do
        local lane, tag = lanes[i], tonumber(lanes[i + 1])
        if bytes >= claim.bytes_max then
            call('ZADD', k.ready, tag, lane)
        else
            local records = first_operations(k, lane, claim.operations_max)
            local count = 0
            for n, record in ipairs(records) do
                if count > 0 and bytes + #record > claim.bytes_max then
                    for extra = n, #records do records[extra] = nil end
                    break
                end
                bytes, count = bytes + #record, count + 1
            end
            if count > 0 then
                held[#held + 1] = lane
                held[#held + 1] = held_text(claim.seq, tag, count)
                answer[#answer + 1] = lane
                answer[#answer + 1] = table.concat(records)
            end
        end
    end
    if #held > 0 then
        in_chunks('HSET', k.base .. 'held:' .. claim.incarnation, held)
        beat(k, claim.incarnation, claim.lease_ms)
    end
end

local function read_claim(args)
    local claim = {
        incarnation = args[1], seq = args[2], lanes_max = tonumber(args[3]),
        operations_max = tonumber(args[4]), bytes_max = tonumber(args[5]), lease_ms = tonumber(args[6]),
    }
    if #args < 6 or not claim.lease_ms or not claim.bytes_max or not find(claim.seq, '^%d+$')
        or not claim.lanes_max or claim.lanes_max < 1 or claim.lanes_max > 1000
        or not claim.operations_max or claim.operations_max < 1 or claim.operations_max > 1000 then
        return nil, refuse('invalid', 'expected INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS')
    end
    return claim
end

-- INCARNATION SEQ LANES OPERATIONS BYTES LEASE_MS -> [next due ms or -1, halted lanes, 1 where none is left, lane, records, …]
-- A processor that found the last ready lane is woken when there are more.
local function claim(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local asked
    asked, problem = read_claim(args)
    if problem then return problem end

    wake_waiting(k, asked.lanes_max)
    local lanes = call('ZPOPMIN', k.ready, asked.lanes_max)
    local answer = { -1, 0, 0 }
    if #lanes > 0 then
        local vt = tonumber(lanes[#lanes])
        if vt > tonumber(call('HGET', k.meta, 'vt') or 0) then
            call('HSET', k.meta, 'vt', format('%.0f', vt))
        end
        give(k, asked, lanes, answer)
    end
    if #lanes < 2 * asked.lanes_max then
        call('SADD', k.idle, asked.incarnation)
        local next_due = call('ZRANGE', k.waiting, 0, 0, 'WITHSCORES')
        if next_due[2] then answer[1] = math.max(tonumber(next_due[2]) - now_ms(), 0) end
        answer[2] = call('HLEN', k.halted)
        answer[3] = 1
    end
    return answer
end

-- The same for lanes that are halted for one of these reasons: … LEASE_MS CURSOR REASON…
-- -> [next cursor, 0, 0, lane, records, …]
local function adopt(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local asked
    asked, problem = read_claim(args)
    if problem then return problem end
    local known = {}
    for i = 8, #args do known[args[i]] = true end
    local page = call('HSCAN', k.halted, args[7], 'COUNT', 100)
    local lanes, names = {}, {}
    for i = 1, #page[2], 2 do
        if known[page[2][i + 1]] and #names < asked.lanes_max then
            names[#names + 1] = page[2][i]
            lanes[#lanes + 1] = page[2][i]
            lanes[#lanes + 1] = call('HGET', k.meta, 'vt') or '0'
        end
    end
    local answer = { page[1], 0, 0 }
    if #names > 0 then
        call('HDEL', k.halted, unpack(names))
        give(k, asked, lanes, answer)
    end
    return answer
end

-- Settling ----------------------------------------------------------------------------------------

-- INCARNATION RESULT_TTL_MS, then for each lane LANE SEQ DISPOSITION ARGUMENT COST_US N and N times
-- ID STATE RESULT. Dispositions: keep, release, wait and gap (ARGUMENT: ms; a gap is no attempt of the
-- next operation), halt (ARGUMENT: reason).
local DISPOSITIONS = { keep = true, release = true, wait = true, gap = true, halt = true }

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
            or ((lane.disposition == 'wait' or lane.disposition == 'gap') and not tonumber(lane.argument)) then
            return nil, refuse('invalid', 'malformed settlement')
        end
        for n = 1, count do
            local at = i + 3 + 3 * n
            lane.ids[n], lane.states[n], lane.results[n] = args[at], args[at + 1], args[at + 2]
            if not STATES[lane.states[n]] then return nil, refuse('invalid', 'malformed settlement') end
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
        if count > 0 and result == '' then
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
    elseif lane.disposition == 'wait' or lane.disposition == 'gap' then
        local record = lane.disposition == 'wait' and call('HGET', k.ops, head)
        if record then call('HSET', k.ops, head, attempted(record)) end
        call('ZADD', k.waiting, now_ms() + tonumber(lane.argument), lane.name)
    else
        call('HSET', k.halted, lane.name, lane.argument)
    end
end

-- -> [[lanes that were no longer the processor's], [ids whose result is still wanted: see heddle_reply]]
local function settle(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local incarnation, ttl_ms = args[1], tonumber(args[2])
    if not ttl_ms then return refuse('invalid', 'expected INCARNATION RESULT_TTL_MS ...') end
    local lanes
    lanes, problem = read_settlements(args)
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
local function reply(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local ttl_ms = tonumber(args[1])
    if not ttl_ms or #args % 2 ~= 1 then return refuse('invalid', 'expected RESULT_TTL_MS [ID RESULT]...') end
    for i = 2, #args, 2 do
        local count = tonumber(call('HGET', k.replies, args[i]) or 0)
        if count > 0 then push_reply(k, args[i], args[i + 1], count, ttl_ms) end
        call('HDEL', k.replies, args[i])
    end
    return redis.status_reply('OK')
end

-- The journal -------------------------------------------------------------------------------------

-- ID… -> those that partition P does not know as queued
local function missing(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local absent = {}
    for _, id in ipairs(args) do
        if call('HEXISTS', k.ops, id) == 0 then absent[#absent + 1] = id end
    end
    return absent
end

local function is_somewhere(k, lane)
    if call('ZSCORE', k.ready, lane) or call('ZSCORE', k.waiting, lane)
        or call('HEXISTS', k.halted, lane) == 1 then
        return true
    end
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        if call('HEXISTS', k.base .. 'held:' .. incarnation, lane) == 1 then return true end
    end
    return false
end

-- LANE, then OP THREAD PAYLOAD ID for each of the first operations of the lane that the journal says have
-- not ended, in its order. Those that Redis has lost come back, and all up to the last of them go to the lane's front;
-- every other operation keeps its place. -> how many were missing
local function rebuild(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local lane, at_us = args[1], now()
    if not lane or (#args - 1) % 4 ~= 0 then return refuse('invalid', 'expected LANE [OP THREAD PAYLOAD ID]...') end
    local key, front, is_queued = k.lane .. lane, {}, {}
    local last, absent, place = 0, 0, -1
    for i = 2, #args, 4 do
        local id = args[i + 3]
        local n = #front + 1
        front[n] = id
        local is_known = call('HEXISTS', k.ops, id) == 1
        local found = is_known and call('LPOS', key, id, 'MAXLEN', REBUILD_DEPTH)
        if is_known and not found and call('LPOS', key, id) then break end
        if found then
            -- An order that differs from the journal's is mended as a loss is.
            is_queued[n] = true
            if found < place then last = n else place = found end
        else
            local o = { user = lane, op = args[i], thread = args[i + 1], payload = args[i + 2], id = id,
                trace = '', journal = true }
            call('HSET', k.ops, id, record_of(o, at_us))
            last, absent = n, absent + 1
        end
    end
    for i = last, 1, -1 do
        if is_queued[i] then call('LREM', key, 1, front[i]) end
        call('LPUSH', key, front[i])
    end
    if call('EXISTS', key) == 1 and not is_somewhere(k, lane) then
        make_ready(k, lane)
    elseif call('ZREM', k.waiting, lane) == 1 then
        make_ready(k, lane)
    end
    return absent
end

-- Processors --------------------------------------------------------------------------------------

-- Frees up to `most` lanes of a processor; returns how many it still holds.
local function free_lanes(k, incarnation, most)
    local held = k.base .. 'held:' .. incarnation
    local lanes = call('HRANDFIELD', held, most, 'WITHVALUES')
    for i = 1, #lanes, 2 do
        call('HDEL', held, lanes[i])
        if call('EXISTS', k.lane .. lanes[i]) == 1 then
            make_ready(k, lanes[i], tonumber(lanes[i + 1]:match(':(%d+):')))
        end
    end
    local left = call('HLEN', held)
    if left == 0 then
        call('ZREM', k.beats, incarnation)
        call('SREM', k.idle, incarnation)
    end
    return left
end

-- INCARNATION LEASE_MS -> lanes of expired processors that were freed, or that still are to be
local function heartbeat(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local lease_ms = tonumber(args[2])
    if not lease_ms then return refuse('invalid', 'expected INCARNATION LEASE_MS') end
    beat(k, args[1], lease_ms)
    local expired = call('ZRANGEBYSCORE', k.beats, '-inf', now_ms(), 'LIMIT', 0, 4)
    local left = 0
    for _, incarnation in ipairs(expired) do left = left + free_lanes(k, incarnation, 100) end
    return { #expired, left }
end

-- INCARNATION: frees its lanes, up to 100 a call -> how many it still holds
local function release(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    return free_lanes(k, args[1], 100)
end

-- INCARNATION CURSOR -> [next cursor, lane, seq, …]: some of the lanes that it holds
local function holds(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local page = call('HSCAN', k.base .. 'held:' .. args[1], args[2], 'COUNT', 100)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        answer[#answer + 1] = page[2][i]
        answer[#answer + 1] = page[2][i + 1]:match('^%d+')
    end
    return answer
end

-- INCARNATION, then LANE SEQ …: claims that their processor does not know of
local function give_back(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local held = k.base .. 'held:' .. args[1]
    for i = 2, #args, 2 do
        local claimed = call('HGET', held, args[i])
        if claimed and claimed:match('^%d+') == args[i + 1] then
            call('HDEL', held, args[i])
            if call('EXISTS', k.lane .. args[i]) == 1 then
                make_ready(k, args[i], tonumber(claimed:match(':(%d+):')))
            end
        end
    end
    return redis.status_reply('OK')
end

-- INCARNATION LANE ID POISON_CRASHES: the lane of a dead processor's suspect goes to the quarantine.
-- POISON_CRASHES > 0 charges the operation; with so many crashes it is given up.
local function suspect(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local incarnation, lane, id, poison_crashes = args[1], args[2], args[3], tonumber(args[4])
    if not poison_crashes then return refuse('invalid', 'expected INCARNATION LANE ID POISON_CRASHES') end
    if call('HDEL', k.base .. 'held:' .. incarnation, lane) == 0 then return 0 end
    if call('EXISTS', k.lane .. lane) == 0 then return 0 end
    local record = poison_crashes > 0 and call('HGET', k.ops, id)
    if record then call('HSET', k.ops, id, crashed(record, poison_crashes)) end
    call('HSET', k.halted, lane, 'suspect')
    return 1
end

-- Operators ---------------------------------------------------------------------------------------

-- PARTITIONS PAYLOAD_MAX -> the number of partitions that is in force
local function setup(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    call('HSETNX', k.meta, 'partitions', args[1])
    call('HSET', k.meta, 'payload_max', args[2])
    return tonumber(call('HGET', k.meta, 'partitions'))
end

-- -> [operations, ready, claimed, waiting, halted lanes, processors]
local function census(keys_given)
    local k, problem = named(keys_given)
    if problem then return problem end
    local claimed, processors = 0, call('ZRANGE', k.beats, 0, -1)
    for _, incarnation in ipairs(processors) do
        claimed = claimed + call('HLEN', k.base .. 'held:' .. incarnation)
    end
    return { call('HLEN', k.ops), call('ZCARD', k.ready), claimed, call('ZCARD', k.waiting),
        call('HLEN', k.halted), #processors }
end

-- LANE… -> for each [operations, in ready, in waiting, in halted, claims]
local function inspect(keys_given, args)
    local k, problem = named(keys_given)
    if problem then return problem end
    local processors, answers = call('ZRANGE', k.beats, 0, -1), {}
    for i, lane in ipairs(args) do
        local claims = 0
        for _, incarnation in ipairs(processors) do
            claims = claims + call('HEXISTS', k.base .. 'held:' .. incarnation, lane)
        end
        answers[i] = { call('LLEN', k.lane .. lane), call('ZSCORE', k.ready, lane) and 1 or 0,
            call('ZSCORE', k.waiting, lane) and 1 or 0, call('HEXISTS', k.halted, lane), claims }
    end
    return answers
end

local function version() return VERSION end

-- A full Redis refuses new work and drains: what takes work out may use memory.
local function register(name, callback, ...)
    local function entry(keys_given, args)
        if not call then open() end
        return callback(keys_given, args)
    end
    redis.register_function { function_name = name, callback = entry, flags = { ... } }
end

register('heddle_submit', submit)
register('heddle_submit_many', submit_many)
register('heddle_status', status, 'no-writes')
register('heddle_lookup', lookup, 'no-writes')
register('heddle_want', want)
register('heddle_unwant', unwant, 'allow-oom')
register('heddle_claim', claim, 'allow-oom')
register('heddle_adopt', adopt, 'allow-oom')
register('heddle_settle', settle, 'allow-oom')
register('heddle_reply', reply, 'allow-oom')
register('heddle_missing', missing, 'no-writes')
register('heddle_rebuild', rebuild, 'allow-oom')
register('heddle_beat', heartbeat, 'allow-oom')
register('heddle_release', release, 'allow-oom')
register('heddle_holds', holds, 'no-writes')
register('heddle_give_back', give_back, 'allow-oom')
register('heddle_suspect', suspect, 'allow-oom')
register('heddle_setup', setup)
register('heddle_census', census, 'no-writes')
register('heddle_inspect', inspect, 'no-writes')
register('heddle_version', version, 'no-writes')
