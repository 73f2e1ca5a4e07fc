-- A full Redis refuses new work and drains: what takes work out may use memory.
local function register(name, callback, ...)
    local function entry(keys_given, args)
        if not call then open() end
        return callback(keys_given, args)
    end
    redis.register_function { function_name = name, callback = entry, flags = { ... } }
end

register('heddle_submit', submit)
register('heddle_submit_many', submit_many)
register('heddle_status', status, 'no-writes')
register('heddle_lookup', lookup, 'no-writes')
register('heddle_want', want)
register('heddle_unwant', unwant, 'allow-oom')
register('heddle_claim', claim, 'allow-oom')
register('heddle_adopt', adopt, 'allow-oom')
register('heddle_settle', settle, 'allow-oom')
register('heddle_reply', reply, 'allow-oom')
register('heddle_missing', missing, 'no-writes')
register('heddle_rebuild', rebuild, 'allow-oom')
register('heddle_beat', heartbeat, 'allow-oom')
register('heddle_release', release, 'allow-oom')
register('heddle_holds', holds, 'no-writes')
register('heddle_give_back', give_back, 'allow-oom')
register('heddle_suspect', suspect, 'allow-oom')
register('heddle_setup', setup)
register('heddle_census', census, 'no-writes')
register('heddle_inspect', inspect, 'no-writes')
register('heddle_version', version, 'no-writes')
