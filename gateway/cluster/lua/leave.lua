-- The process `epoch` of the node `me` is over, and what it still has with it.
if tonumber(call('HGET', key('node', A.me), 'epoch') or A.epoch) ~= A.epoch then return 0 end
remove(A.me)
settle()
return 1
