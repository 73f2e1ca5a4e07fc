-- Batches: how many operations of each, submitted directly, have not ended. Those of the journal are
-- counted there, and so is one that the journal speaks of, from then on.

local batches = {}

do

local LIST_COUNT, HELD_COUNT = 200, 1000

local function name_of(record)
    if not record or not has_flag(record, FLAG_FLOW) then return nil end
    local _, _, user, op, thread, trace, _, _, payload = struct.unpack(HEADER, record)
    local at = HEADER_SIZE + ID_SIZE + user + op + thread + trace + payload + 7
        + (has_flag(record, FLAG_POLICY) and struct.size(POLICY) or 0)
    local _, _, size = struct.unpack(FLOW, record, at)
    local from = at + struct.size(FLOW)
    return size > 0 and sub(record, from, from + size - 1) or nil
end

-- The batch that counts the record here; false or nil where none does.
function batches.of(record)
    return record and not has_flag(record, FLAG_JOURNAL) and name_of(record)
end

-- name -> by how much
function batches.add(k, counts)
    for name, count in pairs(counts) do
        if call('HINCRBY', k.batches, name, count) <= 0 then call('HDEL', k.batches, name) end
    end
end

-- The record is about to become one of the journal.
function batches.hand_over(k, record)
    local name = batches.of(record)
    if name then batches.add(k, { [name] = -1 }) end
end

-- Operations are about to leave Redis.
function batches.depart(k, ids)
    if call('EXISTS', k.batches) == 0 then return end
    local counts = {}
    for from = 1, #ids, UNPACK_MAX do
        for _, record in ipairs(call('HMGET', k.ops, unpack(ids, from, math.min(from + UNPACK_MAX - 1, #ids)))) do
            local name = batches.of(record)
            if name then counts[name] = (counts[name] or 0) - 1 end
        end
    end
    batches.add(k, counts)
end

-- NAME… -> how many of each have not ended
function batches.pending(k, args)
    local counts = {}
    for i, name in ipairs(args) do counts[i] = tonumber(call('HGET', k.batches, name) or 0) end
    return counts
end

-- CURSOR -> [next cursor, NAME, how many have not ended, …]
function batches.list(k, args)
    local page = call('HSCAN', k.batches, args[1] or '0', 'COUNT', LIST_COUNT)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        answer[i + 1], answer[i + 2] = page[2][i], tonumber(page[2][i + 1])
    end
    return answer
end

-- NAME -> how many of the operations that processors have claimed belong to it, those of the journal too;
-- of a processor with very many lanes some are looked at.
function batches.running(k, args)
    local running = 0
    for _, incarnation in ipairs(call('ZRANGE', k.beats, 0, -1)) do
        local held = call('HSCAN', k.base .. 'held:' .. incarnation, '0', 'COUNT', HELD_COUNT)[2]
        local classed = classed_of(k, held, 1, 2)
        for i = 1, #held, 2 do
            local _, _, count = read_held(held[i + 1])
            local ids = count > 0 and next_ids(k, held[i], count, classed and classed[held[i]]) or {}
            for _, record in ipairs(#ids > 0 and call('HMGET', k.ops, unpack(ids)) or ids) do
                if name_of(record) == args[1] then running = running + 1 end
            end
        end
    end
    return running
end

end
