-- Lanes: made ready, and somebody woken; made to wait.

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

-- The due time of a lane that waits so long, in ms; its fraction keeps the wait, in s/4096, so that a
-- time which a clock gave that has gone back since is told from one that is asked for.
local FRACTION = 4096

local function due_in(wait_ms)
    local seconds = math.min(math.ceil(wait_ms / 1000), FRACTION - 1)
    return format('%.17g', now_ms() + math.floor(wait_ms) + seconds / FRACTION)
end

local function is_beyond(due, at_ms)
    return due - at_ms > (due % 1) * FRACTION * 1000 + 1
end
