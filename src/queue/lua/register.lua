-- A full Redis refuses new work and drains: what takes work out may use memory.
local function register(name, partition, callback, ...)
    local function entry(keys_given, args)
        if not call then open() end
        local k, problem = partition(keys_given, args)
        if problem then return problem end
        k.has_classes = nil
        return callback(k, args)
    end
    redis.register_function { function_name = name, callback = entry, flags = { ... } }
end

register('heddle_submit', by_user, submit)
register('heddle_submit_many', by_key, submit_many)
register('heddle_status', by_user, status, 'no-writes')
register('heddle_lookup', by_key, lookup, 'no-writes')
register('heddle_want', by_key, want)
register('heddle_unwant', by_key, unwant, 'allow-oom')
register('heddle_claim', by_key, claim, 'allow-oom')
register('heddle_adopt', by_key, adopt, 'allow-oom')
register('heddle_settle', by_key, settle, 'allow-oom')
register('heddle_reply', by_key, reply, 'allow-oom')
register('heddle_peek', by_key, peek, 'no-writes')
register('heddle_cancel', by_key, cancel, 'allow-oom')
register('heddle_missing', by_key, missing, 'no-writes')
register('heddle_rebuild', by_key, rebuild, 'allow-oom')
register('heddle_halts', by_key, halts, 'no-writes')
register('heddle_look', by_key, look, 'allow-oom')
register('heddle_beat', by_key, heartbeat, 'allow-oom')
register('heddle_release', by_key, release, 'allow-oom')
register('heddle_decline', by_key, decline, 'allow-oom')
register('heddle_holds', by_key, holds, 'no-writes')
register('heddle_give_back', by_key, give_back, 'allow-oom')
register('heddle_suspect', by_key, suspect, 'allow-oom')
register('heddle_check_members', by_key, check_members, 'allow-oom')
register('heddle_check_lane', by_key, check_lane, 'allow-oom')
register('heddle_check_ids', by_key, check_ids, 'no-writes')
register('heddle_check_record', by_key, check_record, 'allow-oom')
register('heddle_check_wish', by_key, check_wish, 'allow-oom')
register('heddle_control', by_key, control.take, 'allow-oom')
register('heddle_setup', by_key, setup)
register('heddle_census', by_key, census, 'no-writes')
register('heddle_inspect', by_key, inspect, 'no-writes')
register('heddle_look_lanes', by_key, look_lanes, 'no-writes')
register('heddle_report', by_key, report, 'allow-oom')
redis.register_function { function_name = 'heddle_version', callback = version, flags = { 'no-writes' } }
