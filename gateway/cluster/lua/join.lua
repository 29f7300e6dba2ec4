-- A process of the node `me` begins: its epoch, larger than any before, whatever Redis has forgotten.
local epoch = math.max(tonumber(call('GET', key('epoch')) or 0) + 1, NOW)
changed() -- also where an earlier process of that name is still listed
register(A.me, epoch, 0, 0, 0)
refresh(A.me)
return epoch
