-- Lanes: their classes and turns; made ready, and somebody woken.

local take_turns, has_classes, classed_of, has_operations, note_class, forget_class, next_ids, awaited,
    note_awaited, wake, make_all_ready, make_ready, turn_lane, count_ready, is_ready, read_held, held_text,
    hold_lane, end_wait

-- By class: the virtual time.
local VT = { [0] = 'vt', 'vt:urgent', 'vt:bulk' }
local TURNS = 16

do

-- Classes of operations (see records.lua), the most urgent first.
local MOST_URGENT_FIRST = { 1, 0, 2 }

-- Of 16 turns 11 are the interactive ones', 4 the normal ones', 1 the bulk ones'.
local function class_of_turn(turn)
    if turn % 4 == 3 then return 0 end
    return turn % TURNS == 13 and 2 or 1
end

-- Up to `most` turns from `turn` on, where there are sizes[class] of each class: the class of each, and
-- how many of each class that makes. Where a class has none left its turn is the most urgent other's.
function take_turns(sizes, turn, most)
    local classes, counts = {}, { [0] = 0, 0, 0 }
    for n = 1, math.min(most, sizes[0] + sizes[1] + sizes[2]) do
        local class = class_of_turn(turn + n - 1)
        for _, other in ipairs(MOST_URGENT_FIRST) do
            if counts[class] == sizes[class] then class = other end
        end
        counts[class] = counts[class] + 1
        classes[n] = class
    end
    return classes, counts
end

-- Whether any lane has operations of other classes than normal: asked once in a call.
function has_classes(k)
    if k.has_classes == nil then k.has_classes = call('EXISTS', k.classed) == 1 end
    return k.has_classes
end

-- What `classed` says of lanes, list[first], list[first + step], …: lane -> text; nil where there is nothing to say.
function classed_of(k, list, first, step)
    if not has_classes(k) then return nil end
    local names, found = {}, {}
    for i = first, #list, step do names[#names + 1] = list[i] end
    for from = 1, #names, UNPACK_MAX do
        local texts = call('HMGET', k.classed, unpack(names, from, math.min(from + UNPACK_MAX - 1, #names)))
        for n, text in ipairs(texts) do found[names[from + n - 1]] = text or nil end
    end
    return found
end

function has_operations(k, lane)
    if not has_classes(k) then return call('EXISTS', k.lane .. lane) == 1 end
    return call('EXISTS', k.lane .. lane, k.lists[1] .. lane, k.lists[2] .. lane) > 0
end

-- The class of a lane's most urgent operation.
local function class_of_lane(k, lane)
    for _, class in ipairs(MOST_URGENT_FIRST) do
        if call('EXISTS', k.lists[class] .. lane) == 1 then return class end
    end
    return 0
end

-- A lane has operations of other classes than normal, or something else that `classed` says of it.
function note_class(k, lane)
    call('HSETNX', k.classed, lane, '0')
    k.has_classes = true
end

function forget_class(k, lane)
    if call('EXISTS', k.lists[1] .. lane, k.lists[2] .. lane) == 0 then call('HDEL', k.classed, lane) end
end

-- The next ids of a lane, up to `most`; `classed` is what k.classed says of it, nil or false for nothing.
function next_ids(k, lane, most, classed)
    if not classed then return call('LRANGE', k.lane .. lane, 0, most - 1) end
    local sizes, lists, ids = {}, {}, {}
    for class = 0, 2 do sizes[class] = call('LLEN', k.lists[class] .. lane) end
    local classes, counts = take_turns(sizes, tonumber(classed:match('^%d+')), most)
    for class = 0, 2 do
        lists[class] = counts[class] > 0 and call('LRANGE', k.lists[class] .. lane, 0, counts[class] - 1)
        counts[class] = 0
    end
    for n, class in ipairs(classes) do
        counts[class] = counts[class] + 1
        ids[n] = lists[class][counts[class]]
    end
    return ids
end

-- The operation that a lane which is not ready waits for.
function awaited(k, lane)
    local classed = has_classes(k) and call('HGET', k.classed, lane)
    return classed and classed:match(':(.*)$') or call('LINDEX', k.lane .. lane, 0)
        or next_ids(k, lane, 1, classed)[1]
end

function note_awaited(k, lane, id)
    local classed = call('HGET', k.classed, lane) or '0'
    call('HSET', k.classed, lane, classed:match('^%d+') .. ':' .. id)
    k.has_classes = true
end

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
local function enter_ready(k, class, lanes, tags)
    local vt, entries = call('HINCRBY', k.meta, VT[class], #lanes) - #lanes, {}
    for i, lane in ipairs(lanes) do
        local tag = tags and tags[i]
        if not tag or tag < vt + i then tag = vt + i end
        entries[2 * i - 1], entries[2 * i] = format('%d', tag), lane
    end
    in_chunks('ZADD', k.readies[class], entries)
end

-- A tag of one class' virtual time as one of another's: as far ahead of it.
local function turned_tag(k, tag, from, to)
    if not tag or from == to then return tag end
    local times = call('HMGET', k.meta, VT[from], VT[to])
    return tag - (times[1] or 0) + (times[2] or 0)
end

-- Some of the lanes have classes: each goes to where its most urgent operation belongs.
local function enter_by_class(k, classed, lanes, tags, froms)
    local parts = { [0] = { {}, {} }, { {}, {} }, { {}, {} } }
    for i, lane in ipairs(lanes) do
        local class = classed[lane] and class_of_lane(k, lane) or 0
        local part = parts[class]
        part[1][#part[1] + 1] = lane
        part[2][#part[1]] = turned_tag(k, tags and tags[i], froms and froms[i] or 0, class) or 0
    end
    for class = 0, 2 do
        if #parts[class][1] > 0 then enter_ready(k, class, parts[class][1], parts[class][2]) end
    end
end

-- Tags are of the virtual times of the classes `froms`; without these, of normal's.
function make_all_ready(k, lanes, tags, froms)
    local classed = classed_of(k, lanes, 1, 1)
    if classed then
        enter_by_class(k, classed, lanes, tags, froms)
    else
        enter_ready(k, 0, lanes, tags)
    end
    wake(k, #lanes)
end

function make_ready(k, lane, tag, from)
    make_all_ready(k, { lane }, { tag }, { from })
end

-- The lane's most urgent operation is of another class than it was: a ready one changes its place.
function turn_lane(k, lane)
    local class = class_of_lane(k, lane)
    for from = 0, 2 do
        local tag = from ~= class and call('ZSCORE', k.readies[from], lane)
        if tag then
            call('ZREM', k.readies[from], lane)
            enter_ready(k, class, { lane }, { turned_tag(k, tonumber(tag), from, class) })
        end
    end
end

function count_ready(k)
    local count = 0
    for class = 0, has_classes(k) and 2 or 0 do count = count + call('ZCARD', k.readies[class]) end
    return count
end

function is_ready(k, lane)
    for class = 0, has_classes(k) and 2 or 0 do
        if call('ZSCORE', k.readies[class], lane) then return true end
    end
    return false
end

-- seq, tag, count, class of the virtual time that the tag is of, the op whose slot it uses.
function read_held(text)
    local seq, tag, count, class, slot = text:match('^(%d+):(%d+):(%d+):?(%d?):?(.*)$')
    return seq, tonumber(tag), tonumber(count), tonumber(class) or 0, slot ~= '' and slot or nil
end

function held_text(seq, tag, count, class, slot)
    return seq .. ':' .. tag .. ':' .. count .. ((class > 0 or slot) and ':' .. class or '') .. (slot and ':' .. slot or '')
end

-- A lane that must not run before a time, or from FAR_MS on before an event, and why.
function hold_lane(k, lane, until_ms, reason)
    call('ZADD', k.waiting, format('%.0f', until_ms), lane)
    call('HSET', k.waits, lane, reason)
end

-- Lanes wait no longer, nor stand in a line (see limits.lua) -> how many did
function end_wait(k, lanes)
    local count = 0
    for i = 1, #lanes, UNPACK_MAX do
        local last = math.min(i + UNPACK_MAX - 1, #lanes)
        count = count + call('ZREM', k.waiting, unpack(lanes, i, last))
        for n, reason in ipairs(call('HMGET', k.waits, unpack(lanes, i, last))) do
            if reason then
                call('HDEL', k.waits, lanes[i + n - 1])
                if call('ZREM', k.line .. reason, lanes[i + n - 1]) == 1 and call('EXISTS', k.line .. reason) == 0 then
                    call('ZREM', k.lines, reason)
                end
            end
        end
    end
    return count
end

end
