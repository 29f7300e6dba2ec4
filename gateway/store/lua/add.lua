-- File a new document. KEYS: its own, that of the last number. ARGV: its id, incarnation, mark, places, text, the
-- number that it should have at least, and sets among whose numbers this one is to be where it belongs by itself; none
-- for behind all others. Returns 1, also when it was this very call that made it; 0 if there is one.
local id, incarnation, mark, places, text, least = unpack(ARGV)
local there = redis.call('GET', KEYS[1])
if there then
    local _, _, made = head(there)
    return made == mark and 1 or 0
end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local number = tonumber(least)
if #ARGV == 6 then
    number = math.max(number, last + 1)
end
for _ = 1, 2 do
    for i = 7, #ARGV do
        while redis.call('ZCOUNT', PREFIX .. ARGV[i], string.format('%.0f', number), string.format('%.0f', number)) > 0 do
            number = number + 1
        end
    end
end
redis.call('SET', KEYS[2], string.format('%.0f', math.max(number, last)))
number = string.format('%.0f', number)
redis.call('SET', KEYS[1], written(number, incarnation, mark, places, text))
refile(id, number, '[""]', places)
return 1
