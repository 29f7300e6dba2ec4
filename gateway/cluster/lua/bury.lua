-- What to do about a node that is silent: one node at a time (`take`, and `renew` while it is at it) puts right what it
-- had; then it is removed (`done`), or left to whoever tries next (`leave`). Nobody may while nobody can tell whether
-- it is gone: see `unbroken`. The lock lasts `patience` ms.
local lock = key('burying', A.node)

local function dead()
  local expiry = call('ZSCORE', key('nodes'), A.node)
  return expiry and over(expiry)
end

if A.step == 'take' then
  if not dead() or unbroken() < A.life then return 0 end
  if call('GET', lock) ~= A.me and not call('SET', lock, A.me, 'NX', 'PX', A.patience) then return 0 end
  vacate(A.node) -- a lease that it got after its last heartbeat would fence off who puts the session right
  settle()
  return 1
end
if A.step == 'renew' then
  if call('GET', lock) == A.me then return call('PEXPIRE', lock, A.patience) end
  return 0
end
if call('GET', lock) == A.me then call('DEL', lock) end
if A.step == 'leave' or not dead() then return 0 end -- another did it, or it is back
local last = math.max(tonumber(call('GET', key('epoch')) or 0), NOW)
call('SET', key('epoch'), last, 'PX', DAY)
call('SET', key('grave', A.node), last, 'PX', DAY) -- its process shall learn that it has lost everything
remove(A.node)
settle()
return 1
