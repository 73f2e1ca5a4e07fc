-- Operations that were submitted directly for later: they enter their lanes when they are due.

local enter_due

do

local DUE_MAX = 256 -- that enter by one call

-- In the order in which they are due; those of the same time in the order of their ids, which for ids
-- made here is that of their submission. -> when the next one is, in ms; nil where there is none
function enter_due(k, at_ms)
    local first = call('ZRANGE', k.scheduled, 0, 0, 'WITHSCORES')
    if not first[2] or tonumber(first[2]) > at_ms then return tonumber(first[2]) end
    local ids = call('ZRANGEBYSCORE', k.scheduled, '-inf', at_ms, 'LIMIT', 0, DUE_MAX)
    call('ZREM', k.scheduled, unpack(ids))
    local batch = open_batch(k)
    for i, record in ipairs(call('HMGET', k.ops, unpack(ids))) do
        if record then put_in_lane(batch, user_of(record), ids[i], class_of(record)) end
    end
    write_batch(batch)
    return tonumber(call('ZRANGE', k.scheduled, 0, 0, 'WITHSCORES')[2])
end

end
