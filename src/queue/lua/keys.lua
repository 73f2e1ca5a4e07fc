-- Keys, refusals, time, and what text is.

local refuse, is_utf8, hash_of, partition_of, by_key, by_user, now, now_ms, in_chunks, NOT_SET_UP

do

local keys_of = {}

local function keys(p)
    local k = keys_of[p]
    if not k then
        local base = 'heddle:{' .. p .. '}:'
        k = { partition = p, base = base, lane = base .. 'lane:', controls = base .. 'controls.',
            line = base .. 'line:', busy = base .. 'busy:' }
        for _, name in ipairs { 'meta', 'ops', 'ready', 'waiting', 'waits', 'halted', 'beats', 'idle', 'replies', 'freed',
            'scheduled', 'uniques', 'batches', 'shares', 'tats', 'lines', 'seen', 'counted',
            'counts' } do
            k[name] = base .. name
        end
        k.new_results, k.old_results = base .. 'results:new', base .. 'results:old'
        k.classed = base .. 'classed'
        -- By class.
        k.lists = { [0] = k.lane, base .. 'urgent:', base .. 'bulk:' }
        k.readies = { [0] = k.ready, base .. 'ready:urgent', base .. 'ready:bulk' }
        keys_of[p] = k
    end
    return k
end

function refuse(code, text)
    return redis.error_reply('HEDDLE ' .. code .. ' ' .. text)
end

NOT_SET_UP = 'Redis is not set up for Heddle: run heddle migrate'

function is_utf8(text)
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

-- Users that were seen, until there are too many: the hash that their partition comes from, false where
-- it is no user's name.
local hashes, hash_count = {}, 0

function hash_of(user)
    local hash = hashes[user]
    if hash == nil then
        if hash_count == HASHES_MAX then hashes, hash_count = {}, 0 end
        hash = #user >= 1 and #user <= USER_MAX and is_utf8(user) and tonumber(sub(redis.sha1hex(user), 1, 4), 16)
        hashes[user], hash_count = hash, hash_count + 1
    end
    return hash
end

function partition_of(user, partitions)
    return (hash_of(user) or 0) % partitions
end

-- The partition that a call names by its one key.
function by_key(keys_given)
    local p = keys_given[1] and tonumber(keys_given[1]:match('^heddle:{(%d+)}$'))
    if not p then return nil, refuse('invalid', 'the key must be heddle:{P}, P a partition') end
    return keys(p)
end

-- The same, or where it names none, that of the user: its first argument.
function by_user(keys_given, args)
    if #keys_given > 0 then return by_key(keys_given) end
    local partitions = tonumber(call('GET', 'heddle:partitions') or '')
    if not partitions then return nil, refuse('version', NOT_SET_UP) end
    return keys(partition_of(args[1] or '', partitions))
end

function now()
    local time = call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

function now_ms()
    return math.floor(now() / 1000)
end

-- Calls `command key …` with a list of any length, or with a part of it.
function in_chunks(command, key, list, first, last)
    last = last or #list
    for i = first or 1, last, UNPACK_MAX do
        call(command, key, unpack(list, i, math.min(i + UNPACK_MAX - 1, last)))
    end
end

end
