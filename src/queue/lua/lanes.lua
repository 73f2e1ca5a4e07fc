-- Lanes: made ready, and somebody woken.

local wake, make_all_ready, make_ready, hold_lane, end_wait

do

-- Wakes processors that are known to listen, one for each of so many lanes: no herd, and a dead one is
-- passed over.
function wake(k, lanes)
    for _ = 1, WAKE_TRIES do
        local incarnation = call('SPOP', k.idle)
        if not incarnation then return end
        if call('PUBLISH', 'heddle:wake:' .. incarnation, k.partition) > 0 then lanes = lanes - 1 end
        if lanes == 0 then return end
    end
end

-- Each arrival moves the virtual time on by a µs: lanes that come later stand behind, and no stream
-- of new lanes can hold back an old one for ever.
function make_all_ready(k, lanes, tags)
    local vt, entries = call('HINCRBY', k.meta, 'vt', #lanes) - #lanes, {}
    for i, lane in ipairs(lanes) do
        local tag = tags and tags[i]
        if not tag or tag < vt + i then tag = vt + i end
        entries[2 * i - 1], entries[2 * i] = format('%d', tag), lane
    end
    in_chunks('ZADD', k.ready, entries)
    wake(k, #lanes)
end

function make_ready(k, lane, tag)
    make_all_ready(k, { lane }, { tag })
end

-- A lane that must not run before a time, or from FAR_MS on before an event, and why.
function hold_lane(k, lane, until_ms, reason)
    call('ZADD', k.waiting, format('%.0f', until_ms), lane)
    call('HSET', k.waits, lane, reason)
end

-- Lanes wait no longer -> how many did
function end_wait(k, lanes)
    local count = 0
    for i = 1, #lanes, UNPACK_MAX do
        local last = math.min(i + UNPACK_MAX - 1, #lanes)
        count = count + call('ZREM', k.waiting, unpack(lanes, i, last))
        call('HDEL', k.waits, unpack(lanes, i, last))
    end
    return count
end

end
