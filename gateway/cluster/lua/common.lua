-- What every script of this directory begins with. ARGV[1] is the prefix of all keys, ARGV[2] JSON with what is asked.
-- Instants are milliseconds of Redis' own clock, which is the only one that leases know. `A.life` is how long a lease,
-- a ticket or a node lasts that nobody renews.
local P, A = ARGV[1], cjson.decode(ARGV[2])
local call = redis.call
local clock = call('TIME')
local NOW = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local DAY = 86400000 -- for what is counted, and harmless to forget
local AGAIN = 1e12 -- sequence numbers of what had a browser before are this much lower: they come before all others

local function key(...)
  return P .. table.concat({...}, ':')
end

local function over(expiry)
  return not expiry or tonumber(expiry) <= NOW
end

local function alive(node)
  return not over(call('ZSCORE', key('nodes'), node))
end

-- Milliseconds for which heartbeats came without a gap in which leases may have run out through nobody's fault.
local function unbroken()
  local pulse = call('HMGET', key('pulse'), 'at', 'since')
  if not pulse[1] or NOW - tonumber(pulse[1]) > A.life / 2 then return 0 end
  return NOW - tonumber(pulse[2])
end

-- --- leases: "NODE|EPOCH|NONCE|TENANT|NAME" ---

local function parts(lease)
  return string.match(lease, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|?(.*)$')
end

local function names(tenant, name)
  return key('name', tenant, name)
end

local function running(tenant)
  return call('ZCOUNT', key('held', tenant), '(' .. NOW, '+inf')
end

local function used(node)
  return call('ZCOUNT', key('leases', node), '(' .. NOW, '+inf')
end

-- Where there is room, after whatever has changed it.
local function refresh(node)
  local has = call('HMGET', key('node', node), 'limit', 'warm', 'accepting')
  local free = 0
  if has[3] == '1' and alive(node) then free = tonumber(has[1]) - used(node) end
  if free > 0 then
    call('ZADD', key('nodes', 'free'), free, node)
  else
    call('ZREM', key('nodes', 'free'), node)
  end
  if free > 0 and tonumber(has[2]) > 0 then
    call('ZADD', key('nodes', 'warm'), free, node)
  else
    call('ZREM', key('nodes', 'warm'), node)
  end
end

local function hold(session, lease)
  local node, _, _, tenant, name = parts(lease)
  call('SET', key('lease', session), lease, 'PX', A.life)
  call('ZADD', key('leases', node), NOW + A.life, session)
  call('PEXPIRE', key('leases', node), 2 * A.life)
  call('ZREMRANGEBYSCORE', key('held', tenant), '-inf', NOW)
  call('ZADD', key('held', tenant), NOW + A.life, session)
  call('PEXPIRE', key('held', tenant), 2 * A.life)
  call('ZADD', key('tenants'), NOW + A.life, tenant)
  call('PEXPIRE', key('tenants'), DAY)
  if name ~= '' then call('SET', names(tenant, name), session, 'PX', A.life) end
end

-- A slot comes back; how long it took from one to the next is what those who wait are told.
local function drop(session, lease)
  local node, _, _, tenant, name = parts(lease)
  call('DEL', key('lease', session))
  call('ZREM', key('leases', node), session)
  call('ZREM', key('held', tenant), session)
  if name ~= '' and call('GET', names(tenant, name)) == session then call('DEL', names(tenant, name)) end
  local last = call('HMGET', key('pace'), 'at', 'mean')
  if last[1] then
    local took = NOW - tonumber(last[1])
    call('HSET', key('pace'), 'mean', last[2] and last[2] + 0.25 * (took - last[2]) or took)
  end
  call('HSET', key('pace'), 'at', NOW)
  call('PEXPIRE', key('pace'), DAY)
  refresh(node)
end

-- --- where ---

local function best(which)
  while true do
    local top = call('ZREVRANGE', key('nodes', which), 0, 0)[1]
    if not top or alive(top) then return top end
    call('ZREM', key('nodes', 'free'), top) -- its heartbeat puts it back, if it has one
    call('ZREM', key('nodes', 'warm'), top)
  end
end

-- The node that a session gets which `mine` asks for; with `here` that one or none.
local function choose(mine, here)
  local free = alive(mine) and call('ZSCORE', key('nodes', 'free'), mine)
  if here then return free and mine or nil end
  if free and call('ZSCORE', key('nodes', 'warm'), mine) then return mine end
  return best('warm') or (free and mine) or best('free') or nil
end

-- --- turns, as in gateway/tenancy/turns.py ---

local function most(tenant)
  return tonumber(call('HGET', key('most'), tenant) or -1)
end

local function may(tenant)
  local limit = most(tenant)
  return limit < 0 or running(tenant) < limit
end

local function grant(session, tenant, node, nonce, name)
  local epoch = call('HGET', key('node', node), 'epoch') or '0'
  local lease = table.concat({node, epoch, nonce, tenant, name}, '|')
  hold(session, lease)
  local turn = call('INCR', key('turn'))
  call('PEXPIRE', key('turn'), DAY)
  call('HSET', key('served'), tenant, turn)
  call('PEXPIRE', key('served'), DAY)
  if call('ZSCORE', key('queues'), tenant) then call('ZADD', key('queues'), turn, tenant) end
  local warm = tonumber(call('HGET', key('node', node), 'warm') or 0)
  if warm > 0 then call('HSET', key('node', node), 'warm', warm - 1) end
  refresh(node)
  return lease
end

-- A ticket is a hash: who waits where, and for what.
local function forget(session, tenant)
  local name = call('HGET', key('ticket', session), 'name')
  if name and name ~= '' and call('GET', names(tenant, name)) == session and call('EXISTS', key('lease', session)) == 0
  then
    call('DEL', names(tenant, name))
  end
  call('DEL', key('ticket', session))
  call('ZREM', key('tickets'), session .. '|' .. tenant)
  call('ZREM', key('queue', tenant), session)
  if call('ZCARD', key('queue', tenant)) == 0 then call('ZREM', key('queues'), tenant) end
end

-- What became of a ticket: a lease, or `displaced`. Who waits for it is told, and asks.
local function tell(session, node, what)
  call('SET', key('turn', session), what, 'PX', A.life)
  call('PUBLISH', key('turns', node), session)
end

local function prune()
  for _, ticket in ipairs(call('ZRANGEBYSCORE', key('tickets'), '-inf', NOW)) do
    forget(string.match(ticket, '^([^|]*)|(.*)$'))
  end
end

-- Tenants with somebody waiting: the one that was served longest ago first; of those never served the first to come.
local function order()
  local found = call('ZRANGE', key('queues'), 0, -1, 'WITHSCORES')
  local tenants = {}
  for i = 1, #found, 2 do
    local first = tonumber(call('ZRANGE', key('queue', found[i]), 0, 0, 'WITHSCORES')[2] or 0)
    if first < 0 then first = first + AGAIN end
    table.insert(tenants, {found[i], tonumber(found[i + 1]), first})
  end
  table.sort(tenants, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[3] < b[3]
  end)
  return tenants
end

local function give_next()
  if not best('free') then return false end
  for _, tenant in ipairs(order()) do
    if may(tenant[1]) then
      for _, session in ipairs(call('ZRANGE', key('queue', tenant[1]), 0, -1)) do
        local ticket = call('HMGET', key('ticket', session), 'node', 'nonce', 'name', 'here')
        local node = ticket[1] and choose(ticket[1], ticket[4] == '1')
        if node then
          forget(session, tenant[1])
          tell(session, ticket[1], grant(session, tenant[1], node, ticket[2], ticket[3]))
          return true
        end
      end
    end
  end
  return false
end

-- Give what there is to give.
local function settle()
  if call('ZCARD', key('tickets')) == 0 then return end
  prune()
  while give_next() do end
end

-- --- nodes ---

-- Nodes fetch the list of nodes when this has changed: so that it is never what it was before, it is made of the time.
local function changed()
  local before = tonumber(call('GET', key('nodes', 'version')) or 0)
  call('SET', key('nodes', 'version'), math.max(before + 1, NOW), 'PX', DAY)
end

local function register(node, epoch, limit, warm, accepting)
  if not alive(node) then changed() end
  call('HSET', key('node', node), 'epoch', epoch, 'limit', limit, 'warm', warm, 'accepting', accepting)
  call('PEXPIRE', key('node', node), A.life)
  call('ZADD', key('nodes'), NOW + A.life, node)
  call('PEXPIRE', key('nodes'), DAY)
  call('SET', key('epoch'), math.max(tonumber(call('GET', key('epoch')) or 0), epoch), 'PX', DAY)
end

-- What a node had it has no more.
local function vacate(node)
  for _, session in ipairs(call('ZRANGE', key('leases', node), 0, -1)) do
    local lease = call('GET', key('lease', session))
    if lease and parts(lease) == node then
      drop(session, lease)
    end
  end
  call('DEL', key('leases', node))
end

local function remove(node)
  vacate(node)
  call('DEL', key('node', node))
  for _, set in ipairs({key('nodes'), key('nodes', 'free'), key('nodes', 'warm')}) do
    call('ZREM', set, node)
  end
  changed()
end
