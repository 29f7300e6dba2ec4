-- Documents by their score in one set. KEYS: the set. ARGV: what their keys begin with, two ends of the range as
-- ZRANGE BYSCORE takes them, how many at most, and `REV` for the highest first, the first end being the higher then.
local prefix, first, last, limit, reverse = unpack(ARGV)
local ids
if reverse == 'REV' then
    ids = redis.call('ZRANGE', KEYS[1], first, last, 'BYSCORE', 'REV', 'LIMIT', 0, limit)
else
    ids = redis.call('ZRANGE', KEYS[1], first, last, 'BYSCORE', 'LIMIT', 0, limit)
end
local found = {}
for i = 1, #ids do
    local value = redis.call('GET', prefix .. ids[i])
    if value then
        found[#found + 1] = value
    else
        redis.call('ZREM', KEYS[1], ids[i]) -- not by us: somebody has deleted it, or Redis to save memory
    end
end
return found
