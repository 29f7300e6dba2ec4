-- Who asked with `nonce` waits no more; what came in that very moment goes back.
forget(A.session, A.tenant)
call('DEL', key('turn', A.session))
local lease = call('GET', key('lease', A.session))
if lease then
  local _, _, nonce = parts(lease)
  if nonce == A.nonce then drop(A.session, lease) end
end
settle()
return 1
