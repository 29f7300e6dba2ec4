-- Forget a document, here and in its sets. KEYS: its own. ARGV: its id. Returns 0 if there is none, else 1.
local there = redis.call('GET', KEYS[1])
if not there then
    return 0
end
local _, _, _, before = head(there)
refile(ARGV[1], '0', before, '[""]')
redis.call('DEL', KEYS[1])
return 1
