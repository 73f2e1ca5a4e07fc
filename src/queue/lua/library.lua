#!lua name=heddle
--[[ The queue: all of its state changes, as Redis functions.

Keys of partition P, all in one slot (B = "heddle:{P}:"):

  B meta           hash    partitions, payload_max, clock (the newest time, in ms); vt, vt:urgent, vt:bulk (virtual
                           times, in µs of service), turn (of the three)
  B ops            hash    operation id -> record: every operation that has not ended
  B lane:LANE      list    ids of the lane's operations of normal priority, the oldest first
  B urgent:LANE    list    the same of interactive, and
  B bulk:LANE      list    of bulk ones
  B classed        hash    lane -> "turn" or "turn:id": lanes that have, or just had, other than normal ones; whose
                           turn it is in it, and the operation that it waits for where that is not its first normal one
  B ready          zset    lane -> start tag: lanes that wait for a processor with normal operations, but no
                           interactive ones
  B ready:urgent   zset    the same of those that have interactive ones, and
  B ready:bulk     zset    of those that have bulk ones only
  B held:INC       hash    lane -> "seq:tag:count", "seq:tag:count:class" or "seq:tag:count:class:op": lanes that the
                           processor INC has claimed; with the op whose slot it uses
  B waiting        zset    lane -> due time in ms: lanes that wait for a time, or from FAR_MS on for an event
  B waits          hash    lane -> why it waits, where that is no retry: "paused user", "paused op OP", "rate user",
                           "rate op OP", "rate all", "busy OP"
  B halted         hash    lane -> reason: lanes that wait for somebody
  B beats          zset    INC -> the time in ms at which its claims expire
  B idle           set     processors that found nothing and want to be woken
  B replies        hash    id -> how many asked for a reply of an operation that is here, or parked
  B scheduled      zset    id -> due time in ms, with a fraction: operations that enter their lanes later
  B unique:USER\0OP\0KEY   string  the id of the operation that has the key: see unique.lua
  B uniques        hash    id -> such a key, of operations that have theirs until they have ended
  B wish:ID        string  how many did of an operation that Redis has still to hear of, for WISH_MS
  B reply:ID       list    a result for each of them, for result_ttl
  B report:TOKEN   list    reports of processors, for whoever asked for them, for REPORT_MS; of the first partition
  B batches        hash    batch -> how many of its direct operations have not ended: see batches.lua
  B results:new    hash    id -> a result that was sent here, for result_ttl: see results.lua
  B results:old    hash    the same, of some time before
  B controls.KIND  hash    target -> what operators have said of it: see controls.lua
  B tats           zset    user:U, op:OP or all -> how far its rate is used, in µs: see limits.lua
  B shares         hash    "rate op:OP", "rate all", "slots op:OP", "cap op:OP" or "cap all" -> this partition's part
                           of it; "short op:OP" or "short all" -> how many it has refused lately
  B line:REASON    zset    lane -> when it came, in µs: lanes that a shared limit keeps waiting
  B lines          zset    reason -> when the first of its line may go, in ms
  B busy:OP        set     lanes that use a slot of an op
  B counted        hash    id -> its op, of operations of ops that are, or were, capped: see caps.lua
  B counts         hash    op -> how many of those there are
  B seen           zset    user -> when it was claimed last, in ms, where somebody wants to know: see leave.lua
  B freed          set     times in waiting whose event has come: their lanes are ready again, some at a time

Invariant: a lane with operations is in exactly one of ready, held:*, waiting, halted; one without
is in none. A scheduled operation is in no lane. A claimed operation stays in its lane until it is settled, so no crash loses it. Whatever
is not so is found by the functions of check.lua.

Ready lanes are served in the order of their start tags: start-time fair queueing (P. Goyal,
H. Vin, H. Cheng, 1996) with measured execution time as the cost. A lane that turns empty leaves
nothing behind.

An operation's priority is its class. Order holds in a class; between classes turns do (see lanes.lua),
among ready lanes and among a lane's operations alike. A lane that waits or is halted does so whole.

A record is a header (see HEADER), then id, user, op, thread, payload, trace, a NUL behind each, so
that a C program can use them where they are; behind them, where FLAG_POLICY says so, the submission's
retry policy (see POLICY), and where FLAG_FLOW does, its priority, expiry and batch (see FLOW), a NUL
behind the last. ]]

local VERSION = 3
local HEADER = '>BBHBBHHHI4I8' -- version, flags, user, op, thread, trace sizes, attempts, crashes, payload size, µs
local POLICY, POLICY_SIZE = '>HBI4I4I4', 15 -- attempts, on_failure, backoff, backoff_max, deadline in ms; 0: not said
local FLOW = '>BI8H' -- priority, expiry in ms since the time in the header, 0: none; size of the batch's name
local HEADER_SIZE, ID_SIZE = 24, 36
local RECORD_VERSION, FLAG_REPLY, FLAG_JOURNAL, FLAG_POISON, FLAG_CANCELLED, FLAG_POLICY, FLAG_LOOK, FLAG_FLOW, FLAG_FRESH =
    1, 1, 2, 4, 8, 16, 32, 64, 128
local USER_MAX, OP_MAX, THREAD_MAX, TRACE_MAX = 256, 64, 64, 512
local MANY_MAX, UNPACK_MAX, WAKE_TRIES, REBUILD_DEPTH, HASHES_MAX = 256, 4000, 8, 2000, 4096
local WISH_MS, REPORT_MS = 3600000, 10000
local FAR_MS = 2 ^ 52
local STATES = { d = 'done', f = 'failed', x = 'dead', c = 'cancelled' }
local ON_FAILURE = { block = 1, park = 2, halt = 3 }
local POLICY_MOST = { attempts = 1000, backoff_ms = 3600000, backoff_max_ms = 3600000, deadline_ms = 2592000000 }
local PRIORITIES = { normal = 0, interactive = 1, bulk = 2 }
local DAY_MS = 86400000
local FLOW_MOST = { delay_ms = 365 * DAY_MS, at_ms = 253402300799999, expires_ms = 30 * DAY_MS, unique_ms = 30 * DAY_MS }
local FLOW_SIZES = { batch = 200, unique_key = 256 }
-- And journal, attempt and submitted_us, which are the relay's.
local OPTIONS = 'id, reply, trace, attempts, backoff_ms, backoff_max_ms, deadline_ms, on_failure, '
    .. 'delay_ms, at_ms, expires_ms, priority, batch, unique_key, unique_ms, replace'

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
