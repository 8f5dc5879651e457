-- Admit a response: attach a retry to the response it repeats, refuse a turn that its anchor does not allow, or create
-- the response with its lease and give back its window.
--
-- RETURNS {"ok", created ms, epoch, account (JSON), item, item, …}, newest item first; the same call again the same
--         | {"attach", response id} | {"key_reused"} | {"not_found"} | {"locked", response id} | {"not_ended", status}
--         | {"unknown_call", call id}
-- INCLUDES calls clock expiry idempotency statuses window
assert(#KEYS == 6 and #ARGV == 20)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2] -- stream: its event log
local leases_key = KEYS[3] -- sorted set, of the partition
local expiry_key = KEYS[4] -- sorted set, of the partition
local anchor_key = KEYS[5] -- hash: the conversation or the previous response; the response itself without an anchor
local idempotency_key = KEYS[6] -- string; the response itself when the client chose no key
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local response_id = ARGV[3]
local anchor_kind = ARGV[4] -- "conversation" | "previous" | "none"
local anchor_id = ARGV[5] -- "" without an anchor
local echo = ARGV[6] -- JSON
local input = ARGV[7] -- JSON array of items
local model_request = ARGV[8] -- JSON
local lease_ms = tonumber(ARGV[9])
local history_tokens = tonumber(ARGV[10]) -- budget of the window
local body_hash = ARGV[11]
local is_retry = ARGV[12] == '1' -- the client library tries again by itself
local replica_id = ARGV[13] -- the one that will run it
local fresh_timeline = ARGV[14] -- id of the timeline that a turn without an anchor begins
local opening_number = ARGV[15] -- last sequence number of the opening events
local retention_ms = tonumber(ARGV[16])
local idempotency_ms = ARGV[17] -- how long the idempotency key is kept
local account = cjson.decode(ARGV[18]) -- of the model input; the window's part is added here
local unanswered = cjson.decode(ARGV[19]) -- ids of calls that the history must hold
local is_stored = ARGV[20] == '1' -- false: the response leaves nothing behind

-- Far beyond the longest answer: what is not stored is erased when it is delivered, or with its replica's lease.
local UNSTORED_S = 3600

local now_ms = read_clock_ms()
local has_idempotency_key = idempotency_key ~= response_key

local function find_end_of_response()
  local found_owner, status, timeline, position, unstored =
    unpack(redis.call('HMGET', anchor_key, 'owner', 'status', 'timeline', 'position', 'unstored'))
  if found_owner ~= owner or unstored then return nil, nil, {'not_found'} end
  if not CONTINUABLE[status] then return nil, nil, {'not_ended', status} end
  return timeline, tonumber(position)
end

local function find_end_of_conversation()
  local found_owner, active, timeline, head =
    unpack(redis.call('HMGET', anchor_key, 'owner', 'active', 'timeline', 'head'))
  if found_owner ~= owner then return nil, nil, {'not_found'} end
  if active == '' then return timeline, tonumber(head) end
  if is_retry and redis.call('HGET', prefix .. 'resp:' .. active, 'body_hash') == body_hash then
    return nil, nil, {'attach', active}
  end
  return nil, nil, {'locked', active}
end

-- The timeline that the turn continues, and the position where its history ends; or nil, nil and the refusal.
local function find_history()
  if anchor_kind == 'none' then return fresh_timeline, 0 end
  if anchor_kind == 'previous' then return find_end_of_response() end
  return find_end_of_conversation()
end

-- The root that a timeline is erased with, and the member of the expiry that the root lives by. Nil when it is being
-- erased: nothing continues from it.
local function find_root(timeline)
  local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
  local expiry = root and find_expiry(prefix, expiry_key, root)
  if not expiry then return nil end
  return root, expiry
end

local function create_response(timeline, position)
  if anchor_kind == 'conversation' then redis.call('HSET', anchor_key, 'active', response_id, 'used_ms', now_ms) end
  if has_idempotency_key then
    redis.call('SET', idempotency_key, response_id .. ' ' .. body_hash, 'PX', idempotency_ms)
  end
  redis.call('HSET', response_key, 'v', 1, 'owner', owner, 'status', 'in_progress', 'anchor_kind', anchor_kind,
    'anchor', anchor_id, 'echo', echo, 'input', input, 'model_request', model_request, 'epoch', '1', 'attempts', 1,
    'replica', replica_id, 'body_hash', body_hash, 'created_ms', now_ms, 'timeline', timeline, 'position', position,
    'logged', opening_number)
  -- The opening events follow from the echo alone.
  redis.call('XADD', log_key, '0-' .. opening_number, 's', '[]')
  redis.call('ZADD', leases_key, now_ms + lease_ms, response_id)
end

local timeline, position, created_ms, deleted, epoch, status =
  unpack(redis.call('HMGET', response_key, 'timeline', 'position', 'created_ms', 'deleted', 'epoch', 'status'))
if deleted then return {'not_found'} end
if created_ms then
  -- The client library asked again, because the first answer was lost on its way.
  position, created_ms = tonumber(position), tonumber(created_ms)
  if epoch == '1' and status == 'in_progress' then redis.call('ZADD', leases_key, now_ms + lease_ms, response_id) end
else
  local earlier = has_idempotency_key and find_earlier(idempotency_key, body_hash)
  if earlier then return earlier end
  local refusal
  timeline, position, refusal = find_history()
  if refusal then return refusal end
  created_ms = now_ms
  for _, call_id in ipairs(unanswered) do
    if not has_call(prefix, timeline, position, call_id) then return {'unknown_call', call_id} end
  end

  local root, expiry = timeline, 'chain:' .. timeline
  if anchor_kind ~= 'none' then
    root, expiry = find_root(timeline)
    if not root then return {'not_found'} end
  elseif is_stored then
    redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 0, 'root', root, 'owner', owner,
      'expiry', expiry)
  end
  create_response(timeline, position)
  if is_stored then
    -- Everything below one root is erased with it, and its time begins anew with every turn.
    redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'resp:' .. response_id)
    redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
  else
    redis.call('HSET', response_key, 'unstored', 1)
    redis.call('EXPIRE', response_key, UNSTORED_S)
    redis.call('EXPIRE', log_key, UNSTORED_S)
  end
end

local reply = {'ok', created_ms, '1', ''}
local found, spent = read_window(reply, prefix, timeline, position, history_tokens, math.huge)
account.history_items, account.history_tokens, account.dropped_items = found, spent, position - found
-- What the model is given follows from what stands here: whoever takes the response over gives it the same.
reply[4] = cjson.encode(account)
redis.call('HSET', response_key, 'model_input', reply[4])
return reply
