-- Unique keys: of a user's operations of one kind, submitted directly, one at a time has a key.
--
-- Where the submission says how long, the key ends by itself; otherwise it goes when its operation has
-- ended, and `uniques` tells which one that is. A key that outlives its operation, or is lost, at worst
-- lets a second one in. Only what no processor has ever had in hand (FLAG_FRESH) gets another payload:
-- what was claimed may take effect yet, whatever has become of the claim.

local find_unique, hold_unique, begun, depart

do

-- A parked one comes back sooner, unless the journal's relay is away.
local PARKED_MS = 2 * 3600000

local function key_of(k, o)
    return k.base .. 'unique:' .. o.user .. '\0' .. o.op .. '\0' .. o.flow.unique_key
end

-- The id of the operation that has the submission's key, and where it has not left Redis its record,
-- with the submission's payload where that replaces the one it had; nil where there is none.
function find_unique(k, o)
    local key = key_of(k, o)
    local id = call('GET', key)
    if not id then return nil end
    local record = call('HGET', k.ops, id)
    if record and has_flag(record, FLAG_CANCELLED) then return nil end
    if o.flow.replace then
        if not record or not has_flag(record, FLAG_FRESH) then return nil end
        record = with_content(record, o)
        call('HSET', k.ops, id, record)
    elseif not record and call('PTTL', key) < 0 then
        return nil
    end
    return id, record
end

-- The key is the new operation's, whoever had it.
function hold_unique(k, o)
    local key = key_of(k, o)
    if o.flow.unique_ms then
        call('SET', key, o.id, 'PX', o.flow.unique_ms)
    else
        call('SET', key, o.id)
        call('HSET', k.uniques, o.id, key)
    end
    o.is_fresh = true
end

-- The record as a processor gets it.
function begun(k, record)
    if byte(record, 2) < FLAG_FRESH then return record end
    record = unflagged(record, FLAG_FRESH)
    call('HSET', k.ops, id_of(record), record)
    return record
end

-- Operations leave Redis for good, but for those that are parked.
function depart(k, ended, parked)
    if #ended == 0 or call('EXISTS', k.uniques, k.batches, k.counted) == 0 then return end
    batches.depart(k, ended)
    for from = 1, #ended, UNPACK_MAX do
        local last = math.min(from + UNPACK_MAX - 1, #ended)
        control.uncount(k, ended, from, last)
        local held = call('HMGET', k.uniques, unpack(ended, from, last))
        for i, key in ipairs(held) do
            local id = ended[from + i - 1]
            local is_its = key and call('GET', key) == id
            if is_its and parked[id] then
                call('PEXPIRE', key, PARKED_MS)
            elseif key and not parked[id] then
                if is_its then call('DEL', key) end
                call('HDEL', k.uniques, id)
            end
        end
    end
end

end
