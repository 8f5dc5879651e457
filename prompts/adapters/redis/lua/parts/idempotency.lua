-- The reply to a request whose idempotency key was used before: the response of that request, or a refusal when that
-- request had another body. Nil when the key is new.
local function find_earlier(idempotency_key, body_hash)
  local earlier = redis.call('GET', idempotency_key)
  if not earlier then return nil end
  local response_id, earlier_hash = string.match(earlier, '^(%S+) (%S+)$')
  if earlier_hash ~= body_hash then return {'key_reused'} end
  return {'attach', response_id}
end

