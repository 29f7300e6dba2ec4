-- How much the fleet has to do: all of it, node by node and tenant by tenant, and the queues as they stand.
prune()
local nodes, found = {}, call('ZRANGEBYSCORE', key('nodes'), '(' .. NOW, '+inf')
for i, node in ipairs(found) do
  local has = call('HMGET', key('node', node), 'limit', 'warm', 'accepting')
  nodes[i] = {node, tonumber(has[1] or 0), used(node), tonumber(has[2] or 0), has[3] == '1'}
end
local tenants, queues = {}, {}
for i, tenant in ipairs(call('ZRANGEBYSCORE', key('tenants'), '(' .. NOW, '+inf')) do
  tenants[i] = {tenant, running(tenant)}
end
for i, tenant in ipairs(order()) do
  local turns = call('ZRANGE', key('queue', tenant[1]), 0, -1, 'WITHSCORES')
  local numbers = {}
  for j = 2, #turns, 2 do numbers[j / 2] = tonumber(turns[j]) end
  queues[i] = {tenant[1], tenant[2], numbers}
end
return cjson.encode({nodes = nodes, tenants = tenants, queues = queues})
