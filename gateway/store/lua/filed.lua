-- Documents that are filed: one key each, whose value is a line about it, and behind it the document itself.
--   NUMBER INCARNATION MARK PLACES
-- NUMBER is its place in the order of all, MARK the call that made it, or `-`. PLACES is a list in JSON: its tenant,
-- and by twos the sorted sets that it is a member of and its scores there, '' for its number.
local PREFIX = 'cdpg:'

local function head(value)
    return string.match(value, '^(%d+) (%d+) (%S+) ([^\n]*)\n')
end

local function written(number, incarnation, mark, places, text)
    return number .. ' ' .. incarnation .. ' ' .. mark .. ' ' .. places .. '\n' .. text
end

-- Whether a node other than this one has the lease at that key; for '' none is another.
local function foreign(key, node)
    local lease = node ~= '' and redis.call('GET', key)
    return lease and string.sub(lease, 1, #node + 1) ~= node .. '|'
end

-- Make `id` a member of those of the sets `after` that it is not in as it should be, and of no other of `before`.
local function refile(id, number, before, after)
    if before == after then
        return
    end
    local old, new = cjson.decode(before), cjson.decode(after)
    local scores, kept = {}, {}
    for i = 2, #old, 2 do
        scores[old[i]] = old[i + 1]
    end
    for i = 2, #new, 2 do
        kept[new[i]] = true
        if scores[new[i]] ~= new[i + 1] then
            redis.call('ZADD', PREFIX .. new[i], new[i + 1] == '' and number or new[i + 1], id)
        end
    end
    for i = 2, #old, 2 do
        if not kept[old[i]] then
            redis.call('ZREM', PREFIX .. old[i], id)
        end
    end
end
