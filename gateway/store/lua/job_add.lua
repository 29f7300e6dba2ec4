-- A new job. KEYS: the job, its idempotency key or '', the set of its node's jobs, its tenant's bytes, the last number.
-- ARGV: its id, what its idempotency key stands for then, what is asked, then fields and values.
-- Returns what the key stands for: this job, or an earlier one.
local id, claim, request = ARGV[1], ARGV[2], ARGV[3]
local there = KEYS[2] ~= '' and redis.call('GET', KEYS[2])
if there then
    return there
end
if redis.call('EXISTS', KEYS[1]) == 1 then
    return claim
end
redis.call('HSET', KEYS[1], 'request', request, 'size_at', KEYS[4], unpack(ARGV, 4))
if KEYS[2] ~= '' then
    redis.call('SET', KEYS[2], claim)
    redis.call('HSET', KEYS[1], 'key_at', KEYS[2])
end
redis.call('ZADD', KEYS[3], redis.call('INCR', KEYS[5]), id)
redis.call('HSET', KEYS[1], 'filed_at', KEYS[3])
redis.call('INCRBY', KEYS[4], #request)
return claim
