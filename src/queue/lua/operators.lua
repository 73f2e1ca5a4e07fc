-- What operators ask.

local setup, census, inspect, report, version

do

-- PARTITIONS PAYLOAD_MAX AWAITS (1: nothing is claimed before it knows the controls) -> the number of partitions that is in force
function setup(k, args)
    call('HSETNX', k.meta, 'partitions', args[1])
    call('HSET', k.meta, 'payload_max', args[2])
    if args[3] == '1' then control.await(k) end
    return tonumber(call('HGET', k.meta, 'partitions'))
end

-- -> [operations, ready, claimed, waiting, halted lanes, processors, scheduled operations]
function census(k)
    local claimed, processors = 0, call('ZRANGE', k.beats, 0, -1)
    for _, incarnation in ipairs(processors) do
        claimed = claimed + call('HLEN', k.base .. 'held:' .. incarnation)
    end
    return { call('HLEN', k.ops), count_ready(k), claimed, call('ZCARD', k.waiting),
        call('HLEN', k.halted), #processors, call('ZCARD', k.scheduled) }
end

-- LANE… -> for each [operations, in ready, in waiting, in halted, claims]
function inspect(k, args)
    local answers = {}
    for i, lane in ipairs(args) do
        local count = { ready = 0, waiting = 0, halted = 0, held = 0 }
        for _, place in ipairs(places_of(k, lane)) do
            local kind = place.name:match('^%a+')
            count[kind] = count[kind] + 1
        end
        local operations = 0
        for class = 0, has_classes(k) and 2 or 0 do
            operations = operations + call('LLEN', k.lists[class] .. lane)
        end
        answers[i] = { operations, count.ready, count.waiting, count.halted, count.held }
    end
    return answers
end

-- TOKEN REPORT: what somebody wanted to know of a processor, who listens for a moment.
function report(k, args)
    local key = k.base .. 'report:' .. args[1]
    call('RPUSH', key, args[2])
    call('PEXPIRE', key, REPORT_MS)
    return redis.status_reply('OK')
end

function version() return VERSION end

end
