-- Lanes: made ready, and somebody woken.

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
