-- A place for a session that `me` was asked for, or one in the queue. Who waits asks again and again, with the number
-- that it was given (`turn`); every call says all that is asked, and repeating one is harmless.
local session, tenant = A.session, A.tenant

local function answer(lease)
  return cjson.encode({status = 'granted', lease = lease, node = (parts(lease))})
end

-- The answer where no place is granted, with what the caller is told who has waited long enough.
local function full(status, turn)
  local mean = call('HGET', key('pace'), 'mean')
  return cjson.encode({
    status = status,
    turn = turn,
    most = A.most,
    running = running(tenant),
    waiting = call('ZCARD', key('queue', tenant)),
    pace = mean and tonumber(mean) / 1000 or cjson.null,
  })
end

local function refused()
  forget(session, tenant)
  return full('full')
end

-- What became of an earlier call, or of the ticket that it left.
local function earlier()
  local turn = call('GET', key('turn', session))
  if turn then call('DEL', key('turn', session)) end
  if turn == 'displaced' then return refused() end
  local lease = call('GET', key('lease', session))
  if not lease then return nil end
  local node, epoch, nonce = parts(lease)
  if lease == turn or nonce == A.nonce then
    forget(session, tenant)
    return answer(lease)
  end
  if node == A.me then -- with another epoch it is an earlier process's of this node
    forget(session, tenant)
    if tonumber(epoch) ~= A.epoch then
      lease = table.concat({A.me, string.format('%.0f', A.epoch), A.nonce, tenant, A.name}, '|')
      hold(session, lease)
    end
    return answer(lease)
  end
  if alive(node) then
    forget(session, tenant)
    return cjson.encode({status = 'elsewhere', node = node})
  end
  drop(session, lease)
  return nil
end

local done = earlier()
if done then return done end
if A.name ~= '' then
  local other = call('GET', names(tenant, A.name))
  if other and other ~= session
    and (call('EXISTS', key('lease', other)) == 1 or call('EXISTS', key('ticket', other)) == 1)
  then
    forget(session, tenant)
    return cjson.encode({status = 'name', session = other})
  end
end
call('HSET', key('most'), tenant, A.most)
call('PEXPIRE', key('most'), DAY)
settle()
done = earlier()
if done then return done end

local turn = tonumber(call('ZSCORE', key('queue', tenant), session)) or A.turn
if turn == cjson.null or not turn then
  if may(tenant) then
    local node = choose(A.me, A.here)
    if node then return answer(grant(session, tenant, node, A.nonce, A.name)) end
  end
  if A.most == 0 then return refused() end
  local waiting = call('ZCARD', key('queue', tenant))
  if waiting >= A.own_length then return refused() end
  if call('ZCARD', key('tickets')) >= A.length then
    local greedy, longest = nil, 0
    for _, other in ipairs(call('ZRANGE', key('queues'), 0, -1)) do
      local length = call('ZCARD', key('queue', other))
      if length > longest then greedy, longest = other, length end
    end
    if longest < waiting + 2 then return refused() end -- it would only turn the two round
    local youngest = call('ZREVRANGE', key('queue', greedy), 0, 0)[1]
    local whose = call('HGET', key('ticket', youngest), 'node')
    forget(youngest, greedy)
    if whose then tell(youngest, whose, 'displaced') end
  end
  turn = call('INCR', key('sequence'))
  if A.again then turn = turn - AGAIN end
elseif turn > 0 and turn > tonumber(call('GET', key('sequence')) or 0) then
  call('SET', key('sequence'), turn) -- Redis has forgotten it
end
call('PEXPIRE', key('sequence'), DAY)
call('ZADD', key('queue', tenant), turn, session)
call('PEXPIRE', key('queue', tenant), DAY)
if not call('ZSCORE', key('queues'), tenant) then
  call('ZADD', key('queues'), call('HGET', key('served'), tenant) or 0, tenant)
end
call('PEXPIRE', key('queues'), DAY)
call('ZADD', key('tickets'), NOW + A.life, session .. '|' .. tenant)
call('PEXPIRE', key('tickets'), DAY)
call('HSET', key('ticket', session), 'node', A.me, 'nonce', A.nonce, 'name', A.name, 'here', A.here and 1 or 0)
call('PEXPIRE', key('ticket', session), A.life)
if A.name ~= '' then call('SET', names(tenant, A.name), session, 'PX', A.life) end
return full('queued', turn)
