-- A user leaves, or has been idle for long.
--
-- While somebody wants to know who is idle (meta.seen), each claim notes its lanes there.

local leave = {}

do

local PAGE, SCAN_COUNT = 200, 1000

-- {lane, …}: every other one of a list
function leave.note_seen(k, lanes, at_ms)
    local entries = {}
    for i = 1, #lanes, 2 do entries[i], entries[i + 1] = at_ms, lanes[i] end
    in_chunks('ZADD', k.seen, entries)
end

-- USER CURSOR -> [next cursor, record, …]: some of the user's operations, wherever they stand
function leave.of_user(k, args)
    local page = call('HSCAN', k.ops, args[2], 'COUNT', PAGE)
    local answer = { page[1] }
    for i = 2, #page[2], 2 do
        local record = page[2][i]
        if user_of(record) == args[1] then answer[#answer + 1] = record end
    end
    return answer
end

-- USER CURSOR -> [next cursor]: unique keys that are the user's, some at a time, and what counts for limits
function leave.forget_user(k, args)
    local pattern = (k.base .. 'unique:' .. args[1]):gsub('[%[%]%*%?\\]', '\\%0') .. '\0*'
    if args[2] == '0' then
        call('ZREM', k.tats, 'user:' .. args[1])
        call('ZREM', k.seen, args[1])
    end
    local page = call('SCAN', args[2], 'MATCH', pattern, 'COUNT', SCAN_COUNT)
    for _, key in ipairs(page[2]) do
        local id = call('GET', key)
        if id then call('HDEL', k.uniques, id) end
        call('DEL', key)
    end
    return { page[1] }
end

-- ID…: their results, and who waits for them
function leave.forget_results(k, args)
    for _, id in ipairs(args) do
        call('DEL', k.base .. 'reply:' .. id, k.base .. 'wish:' .. id)
    end
    for _, key in ipairs { k.new_results, k.old_results, k.replies } do in_chunks('HDEL', key, args) end
    return redis.status_reply('OK')
end

function leave.ignore_idle(k)
    call('HDEL', k.meta, 'seen')
    call('UNLINK', k.seen)
    control.refresh_rules(k)
    return redis.status_reply('OK')
end

-- BEFORE_MS MOST -> [user, when it was seen last in ms, …]: some that were not seen since. One that has a lane
-- is seen now.
function leave.idle_users(k, args)
    if call('HSETNX', k.meta, 'seen', 1) == 1 then control.refresh_rules(k) end
    local found = call('ZRANGEBYSCORE', k.seen, '-inf', '(' .. args[1], 'WITHSCORES', 'LIMIT', 0, args[2])
    local answer = {}
    for i = 1, #found, 2 do
        if not has_operations(k, found[i]) then
            answer[#answer + 1], answer[#answer + 2] = found[i], found[i + 1]
        else
            call('ZADD', k.seen, now_ms(), found[i])
        end
    end
    return answer
end

-- USER SEEN_MS MAY_GO -> 1 where it may go, was not seen since and has nothing here: then it is forgotten. One
-- that may not go is seen now.
function leave.leave_idle(k, args)
    local seen_ms = call('ZSCORE', k.seen, args[1])
    if not seen_ms or tonumber(seen_ms) ~= tonumber(args[2]) then return 0 end
    if args[3] ~= '1' or has_operations(k, args[1]) then
        call('ZADD', k.seen, now_ms(), args[1])
        return 0
    end
    return call('ZREM', k.seen, args[1])
end

end
