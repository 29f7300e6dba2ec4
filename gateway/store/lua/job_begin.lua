-- A job runs from now on. KEYS: the job. ARGV: the node that does it, the instant.
-- Returns what is asked, or nil: it has finished, is gone, or another node's.
local found = redis.call('HMGET', KEYS[1], 'node', 'finished_at', 'request')
if found[1] ~= ARGV[1] or found[2] then
    return false
end
redis.call('HSET', KEYS[1], 'status', 'running', 'started_at', ARGV[2])
return found[3]
