-- Looking: what operators ask about lanes. Nothing here changes anything.

local look_lanes

do

local LOOK_COUNT, SCANS = 200, { ready = 'ZSCAN', waiting = 'ZSCAN' }

-- What is told of any lane, wherever it stands.
local function lane_row(k, lane, state)
    local row = { user = lane, state = state, backlog = call('LLEN', k.lane .. lane) }
    local head = call('LINDEX', k.lane .. lane, 0)
    local record = head and call('HGET', k.ops, head)
    if record then row.first_ms = math.floor(submitted_at(record) / 1000) end
    return row
end

-- COLLECTION CURSOR: of ready, waiting, halted or held:INC -> [next cursor, row, …]: some of its lanes, each a
-- JSON object {user, state, backlog, first_ms}
function look_lanes(k, args)
    local kind = args[1]:match('^%a+')
    local page = call(SCANS[kind] or 'HSCAN', k.base .. args[1], args[2], 'COUNT', LOOK_COUNT)
    local answer = { page[1] }
    for i = 1, #page[2], 2 do
        answer[#answer + 1] = cjson.encode(lane_row(k, page[2][i], kind == 'held' and 'claimed' or kind))
    end
    return answer
end

end
