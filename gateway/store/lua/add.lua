-- File a new document. KEYS: its own, that of the last number, that of the lease on it. ARGV: its id, incarnation,
-- mark, places, text, the number that it should have at least, the node that writes, or '', and sets among whose
-- numbers this one is to be where it belongs by itself; none for behind all others.
-- Returns 1, also when it was this very call that made it; 0 if there is one, or another node has the lease.
local id, incarnation, mark, places, text, least, node = unpack(ARGV)
local there = redis.call('GET', KEYS[1])
if there then
    local _, _, made = head(there)
    return made == mark and 1 or 0
end
if foreign(KEYS[3], node) then
    return 0
end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local number = tonumber(least)
if #ARGV == 7 then
    number = math.max(number, last + 1)
end
for _ = 1, 2 do
    for i = 8, #ARGV do
        local same = string.format('%.0f', number)
        while redis.call('ZCOUNT', PREFIX .. ARGV[i], same, same) > 0 do
            number = number + 1
            same = string.format('%.0f', number)
        end
    end
end
redis.call('SET', KEYS[2], string.format('%.0f', math.max(number, last)))
number = string.format('%.0f', number)
redis.call('SET', KEYS[1], written(number, incarnation, mark, places, text))
refile(id, number, '[""]', places)
return 1
