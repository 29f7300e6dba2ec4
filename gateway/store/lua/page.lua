-- Documents that are members of all of some sets, and of any of some others, the highest number first.
-- ARGV: what their keys begin with; the tenant, as places have it; the id behind which to begin, or ''; else the number
-- below which, or ''; how many at most; how many candidates to look at, at most; and the sets in JSON:
-- {"all": [...], "any": [...]}.
-- Returns where to go on, '' at the end, and documents. Nothing if there is none of that id, or it is another tenant's.
local prefix, tenant, cursor, below, limit, step, sets = unpack(ARGV)
limit, step = tonumber(limit), tonumber(step)
sets = cjson.decode(sets)
if cursor ~= '' then
    local there = redis.call('GET', prefix .. cursor)
    if not there then
        return {}
    end
    local number, _, _, places = head(there)
    if cjson.decode(places)[1] ~= tenant then
        return {}
    end
    below = number
end
local from = below == '' and '+inf' or '(' .. below

-- What has the fewest members is walked through, and looked up in the rest.
local walked, size = nil, nil
for _, set in ipairs(sets.all) do
    local members = redis.call('ZCARD', PREFIX .. set)
    if size == nil or members < size then
        walked, size = { set }, members
    end
end
local members = 0
for _, set in ipairs(sets.any) do
    members = members + redis.call('ZCARD', PREFIX .. set)
end
if #sets.any > 0 and (size == nil or members < size) then
    walked = sets.any
end

-- The next `count` members of what is walked through.
local function next_ones(count)
    local found = {}
    for _, set in ipairs(walked) do
        local flat = redis.call(
            'ZRANGE', PREFIX .. set, from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, count, 'WITHSCORES'
        )
        for i = 1, #flat, 2 do
            found[#found + 1] = { flat[i], flat[i + 1], tonumber(flat[i + 1]) }
        end
    end
    if #walked > 1 then
        table.sort(found, function(one, other) return one[3] > other[3] end)
    end
    return found
end

local function belongs(id)
    for _, set in ipairs(sets.all) do
        if set ~= walked[1] and not redis.call('ZSCORE', PREFIX .. set, id) then
            return false
        end
    end
    if #sets.any == 0 or walked == sets.any then
        return true
    end
    for _, set in ipairs(sets.any) do
        if redis.call('ZSCORE', PREFIX .. set, id) then
            return true
        end
    end
    return false
end

local reply, count = { '' }, limit
while step > 0 do
    count = math.min(count, step)
    local found = next_ones(count)
    for i = 1, math.min(#found, count) do
        if #reply > limit then
            return reply
        end
        reply[1] = found[i][2]
        if belongs(found[i][1]) then
            reply[#reply + 1] = redis.call('GET', prefix .. found[i][1]) or nil
        end
    end
    if #found < count then
        reply[1] = ''
        return reply
    end
    from = '(' .. reply[1]
    step = step - count
    count = count * 2
end
return reply
