-- Forget jobs that finished long ago. KEYS: the set of those that are over. ARGV: the end of a range of its scores, how
-- many at most. Returns how many.
local ids = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
    local job = 'cdpg:job:' .. id
    local found = redis.call('HMGET', job, 'key_at', 'size_at')
    local size = redis.call('HSTRLEN', job, 'result')
    if found[1] then
        redis.call('DEL', found[1])
    end
    if found[2] and redis.call('DECRBY', found[2], size) == 0 then
        redis.call('DEL', found[2])
    end
    redis.call('DEL', job)
    redis.call('ZREM', KEYS[1], id)
end
return #ids
