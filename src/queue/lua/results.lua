-- Results that the ledger does not keep, or that somebody asked for, for a while.
--
-- An entry is the state's letter, the digest of the operation's content, and the result; '' stands for
-- that of an operation that is done and has nothing to say. Entries stand in two generations, so that
-- no result has a key and a time of its own: the new one is written to, until its oldest are as old as a
-- result has to get; then it becomes the old one, which takes no more, and goes as a whole.
-- TTL_FIELD tells how long replies live.

local digest_of, keep_results, drop_results, text_of_entry, find_result, push_reply

do

local RESULT_DIGEST_SIZE, RESULTS_LEAVE_MS, TTL_FIELD = 16, 3000, 'ttl'

function digest_of(content)
    return (sub(redis.sha1hex(content), 1, 2 * RESULT_DIGEST_SIZE):gsub('..', function(hex)
        return string.char(tonumber(hex, 16))
    end))
end

-- Keeps results, list[first] to list[last]: id, entry, …
function keep_results(k, ttl_ms, list, first, last)
    local left, lasts_ms = call('PTTL', k.new_results), ttl_ms + RESULTS_LEAVE_MS
    if left >= 0 and left < lasts_ms then
        call('UNLINK', k.old_results)
        call('RENAME', k.new_results, k.old_results)
        call('PEXPIRE', k.old_results, lasts_ms)
        left = -2
    end
    in_chunks('HSET', k.new_results, list, first, last)
    if left < 0 then
        call('HSET', k.new_results, TTL_FIELD, ttl_ms)
        call('PEXPIRE', k.new_results, ttl_ms + lasts_ms)
    end
end

-- A generation that is about to end goes now: this way Redis frees it in the background.
function drop_results(k)
    for _, key in ipairs { k.new_results, k.old_results } do
        local left = call('PTTL', key)
        if left >= 0 and left < RESULTS_LEAVE_MS then call('UNLINK', key) end
    end
end

function text_of_entry(id, entry)
    local text = sub(entry, 2 + RESULT_DIGEST_SIZE)
    if text ~= '' then return text end
    return '{"id":"' .. id .. '","state":"done","code":200,"data":null}'
end

-- {state, result, digest, ttl_ms} of an operation; nil where none is kept.
function find_result(k, id)
    for _, key in ipairs { k.new_results, k.old_results } do
        local entry = call('HGET', key, id)
        if entry then
            return {
                state = STATES[sub(entry, 1, 1)], digest = sub(entry, 2, 1 + RESULT_DIGEST_SIZE),
                text = text_of_entry(id, entry),
                ttl_ms = tonumber(call('HGET', key, TTL_FIELD) or 1000),
            }
        end
    end
end

function push_reply(k, id, result, count, ttl_ms)
    local key = k.base .. 'reply:' .. id
    for _ = 1, count do call('RPUSH', key, result) end
    call('PEXPIRE', key, ttl_ms)
end

end
