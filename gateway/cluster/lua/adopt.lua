-- The lease of a session whose browser runs here, whatever the limits are: one of an earlier process of this node, or
-- one that nobody has. False if another node has it.
local lease = call('GET', key('lease', A.session))
if lease then
  local node = parts(lease)
  if node ~= A.me then return false end
end
lease = table.concat({A.me, string.format('%.0f', A.epoch), A.nonce, A.tenant, A.name}, '|')
hold(A.session, lease)
refresh(A.me)
return lease
