-- What operators ask.

-- PARTITIONS PAYLOAD_MAX -> the number of partitions that is in force
local function setup(k, args)
    call('HSETNX', k.meta, 'partitions', args[1])
    call('HSET', k.meta, 'payload_max', args[2])
    return tonumber(call('HGET', k.meta, 'partitions'))
end

-- -> [operations, ready, claimed, waiting, halted lanes, processors]
local function census(k)
    local claimed, processors = 0, call('ZRANGE', k.beats, 0, -1)
    for _, incarnation in ipairs(processors) do
        claimed = claimed + call('HLEN', k.base .. 'held:' .. incarnation)
    end
    return { call('HLEN', k.ops), call('ZCARD', k.ready), claimed, call('ZCARD', k.waiting),
        call('HLEN', k.halted), #processors }
end

-- LANE… -> for each [operations, in ready, in waiting, in halted, claims]
local function inspect(k, args)
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
