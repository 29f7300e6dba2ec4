-- Replace a document. KEYS: its own, and that of the lease on it. ARGV: its id, incarnation, places, text, and the node
-- that writes, or ''. Returns 1; 0 if there is none, or one of a later incarnation; -1 if another node has the lease.
local id, incarnation, places, text, node = unpack(ARGV)
local there = redis.call('GET', KEYS[1])
if not there then
    return 0
end
local number, last, _, before = head(there)
if tonumber(last) > tonumber(incarnation) then
    return 0
end
if foreign(KEYS[2], node) then
    return -1
end
redis.call('SET', KEYS[1], written(number, incarnation, '-', places, text))
refile(id, number, before, places)
return 1
