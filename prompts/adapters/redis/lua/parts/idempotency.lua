-- The reply to a request whose idempotency key was used before: the response of that request, or a refusal when that
-- request had another body. Nil when the key is new.
local function find_earlier(idempotency_key, body_hash)
  local earlier = redis.call('GET', idempotency_key)
  if not earlier then return nil end
  local response_id, earlier_hash = string.match(earlier, '^(%S+) (%S+)$')
  if earlier_hash ~= body_hash then return {'key_reused'} end
  return {'attach', response_id}
end

-- Let an idempotency key lead to a response that is there, for a while. The response keeps the names of its records as
-- `claims`, so that they go with it when it is deleted.
local function claim(prefix, idempotency_key, response_id, body_hash, idempotency_ms)
  redis.call('SET', idempotency_key, response_id .. ' ' .. body_hash, 'PX', idempotency_ms)
  local response_key, name = prefix .. 'resp:' .. response_id, string.sub(idempotency_key, #prefix + 1)
  local status, claims = unpack(redis.call('HMGET', response_key, 'status', 'claims'))
  if not status or (claims and string.find(claims, name, 1, true)) then return end
  redis.call('HSET', response_key, 'claims', claims and claims .. ' ' .. name or name)
end

-- Erase the records of a response; one that leads to another response by now stays.
local function forget_claims(prefix, response_id, claims)
  for name in string.gmatch(claims or '', '%S+') do
    local found = redis.call('GET', prefix .. name)
    if found and string.match(found, '^%S+') == response_id then redis.call('UNLINK', prefix .. name) end
  end
end
