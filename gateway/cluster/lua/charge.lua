-- A bucket of `rate` tokens a minute, as gateway/tenancy/quota.py's: milliseconds until there are `count`, 0 if taken.
local bucket = key('bucket', A.tenant)
local had = call('HMGET', bucket, 'left', 'at')
local left = A.rate
if had[1] then left = math.min(A.rate, tonumber(had[1]) + math.max(0, NOW - tonumber(had[2])) * A.rate / 60000) end
local wait = 0
if left < A.count then
  wait = math.ceil((A.count - left) * 60000 / A.rate)
else
  left = left - A.count
end
call('HSET', bucket, 'left', string.format('%.6f', left), 'at', NOW)
call('PEXPIRE', bucket, 61000) -- it is full again by then
return wait
