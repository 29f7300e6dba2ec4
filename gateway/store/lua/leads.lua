-- Take or keep a turn that one at a time has. KEYS: the turn's. ARGV: who asks, milliseconds. Returns 1 or 0.
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
