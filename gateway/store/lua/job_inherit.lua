-- All that a node had to do is another's from now on. KEYS: the set of the one's jobs, that of the other's, and a list
-- of what has been taken, for a call that is repeated. ARGV: the other node, how long to keep the list (milliseconds).
-- Returns the ids, the oldest first.
local moved = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #moved, 2 do
    redis.call('ZADD', KEYS[2], moved[i + 1], moved[i])
    redis.call('HSET', 'cdpg:job:' .. moved[i], 'node', ARGV[1], 'filed_at', KEYS[2])
    redis.call('RPUSH', KEYS[3], moved[i])
end
redis.call('DEL', KEYS[1])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return redis.call('LRANGE', KEYS[3], 0, -1)
