-- A job is over. KEYS: the job, the set of those that are. ARGV: its id, the node that says so or `*`, its status, the
-- instant, and what came of it, if anything. Returns 1, also when this very call was sent before; else 0.
local id, node, status, instant, result = unpack(ARGV)
local found = redis.call('HMGET', KEYS[1], 'node', 'finished_at', 'status', 'request', 'size_at', 'filed_at')
if not found[1] or (node ~= '*' and found[1] ~= node) then
    return 0
end
if found[2] then
    return (found[2] == instant and found[3] == status) and 1 or 0
end
redis.call('HSET', KEYS[1], 'status', status, 'finished_at', instant)
redis.call('HDEL', KEYS[1], 'request', 'filed_at')
if result then
    redis.call('HSET', KEYS[1], 'result', result)
end
redis.call('ZREM', found[6], id)
redis.call('ZADD', KEYS[2], instant, id)
if redis.call('INCRBY', found[5], #(result or '') - #found[4]) == 0 then
    redis.call('DEL', found[5])
end
return 1
