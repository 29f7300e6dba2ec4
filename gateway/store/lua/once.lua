-- Claim a key for a time. KEYS: the key. ARGV: what it stands for, milliseconds. Returns what it stands for.
local there = redis.call('GET', KEYS[1])
if there then
    return there
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
