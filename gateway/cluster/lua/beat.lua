-- The process `epoch` of the node `me` lives, and has `sessions`, pairs of id and lease. `first`: of several calls that
-- are one heartbeat. What comes back is what the node has to know of the others. Dead ones that it is to `bury` are its
-- alone for `patience` ms (0: none): if every node tried, a thousand would for each that dies.
local MOST_BURIED = 2 -- by one node, begun with one heartbeat
local current = tonumber(call('HGET', key('node', A.me), 'epoch') or 0)
if current > A.epoch then return cjson.encode({status = 'outdated'}) end
if tonumber(call('GET', key('grave', A.me)) or 0) >= A.epoch then return cjson.encode({status = 'buried'}) end
if A.first then
  if unbroken() == 0 then call('HSET', key('pulse'), 'since', NOW) end
  call('HSET', key('pulse'), 'at', NOW)
  call('PEXPIRE', key('pulse'), DAY)
  register(A.me, A.epoch, A.limit, A.warm, A.accepting)
end
local lost, places, held, wanted, tenants = {}, {}, {}, {}, {}
for i, pair in ipairs(A.sessions) do wanted[i] = key('lease', pair[1]) end
local found = #wanted > 0 and call('MGET', unpack(wanted)) or {}
for i, pair in ipairs(A.sessions) do
  local session, lease = pair[1], pair[2]
  if found[i] and found[i] ~= lease then
    table.insert(lost, session)
  else
    if found[i] then
      call('PEXPIRE', wanted[i], A.life)
    else
      call('SET', wanted[i], lease, 'PX', A.life) -- it ran out, and nobody took it
    end
    local _, _, _, tenant, name = parts(lease)
    table.insert(places, NOW + A.life)
    table.insert(places, session)
    held[tenant] = held[tenant] or {}
    table.insert(held[tenant], NOW + A.life)
    table.insert(held[tenant], session)
    if name ~= '' then
      local whose = call('GET', names(tenant, name))
      if not whose or whose == session then call('SET', names(tenant, name), session, 'PX', A.life) end
    end
  end
end
if #places > 0 then
  call('ZADD', key('leases', A.me), unpack(places))
  call('PEXPIRE', key('leases', A.me), 2 * A.life)
end
for tenant, sessions in pairs(held) do
  call('ZADD', key('held', tenant), unpack(sessions))
  call('PEXPIRE', key('held', tenant), 2 * A.life)
  table.insert(tenants, NOW + A.life)
  table.insert(tenants, tenant)
end
if #tenants > 0 then
  call('ZADD', key('tenants'), unpack(tenants))
  call('PEXPIRE', key('tenants'), DAY)
end
if A.first then
  call('ZREMRANGEBYSCORE', key('tenants'), '-inf', NOW)
  call('ZREMRANGEBYSCORE', key('leases', A.me), '-inf', NOW)
end
refresh(A.me)
settle()
local dead, bury = call('ZRANGEBYSCORE', key('nodes'), '-inf', NOW, 'LIMIT', 0, 100), {}
if A.first and (A.patience or 0) > 0 and unbroken() >= A.life then
  for _, node in ipairs(dead) do
    if #bury < MOST_BURIED and call('SET', key('burying', node), A.me, 'NX', 'PX', A.patience) then
      table.insert(bury, node)
    end
  end
end
return cjson.encode({
  status = 'ok',
  lost = lost,
  version = tonumber(call('GET', key('nodes', 'version')) or 0),
  dead = dead,
  bury = bury,
  unbroken = unbroken(),
})
