-- Admit a response: is it a retry, is its conversation free, then create it with its lease, and give back the window.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)   4 its expiry (zset)
--      5 the anchor: the conversation or the previous response (hash); the response itself when there is none
--      6 the idempotency key (string); the response itself when there is none
-- ARGV 1 prefix of the partition's keys   2 owner   3 response id   4 "conversation" | "previous" | "none"   5 anchor's id
--      6 echo (JSON)   7 input items (JSON)   8 model request (JSON)   9 lease, ms   10 history budget, tokens
--      11 body hash   12 1: the client library tries again by itself   13 replica   14 fresh timeline id
--      15 last sequence number of the opening   16 retention, ms   17 how long the idempotency key is kept, ms
--      18 account of the model input (JSON object), to which the window's part is added
--      19 ids of calls that the history must hold (JSON array)   20 1: it is stored | 0: it leaves nothing behind
-- RETURNS {"ok", created ms, epoch, account (JSON), item, item, …} (newest item first); the same call again gives the same
--         {"attach", response id} | {"key_reused"} | {"not_found"} | {"locked", response id} | {"not_ended", status}
--         {"unknown_call", call id}
-- INCLUDES calls clock expiry idempotency statuses window
local resp_key, log_key, leases_key, expiry_key, anchor_key, idem_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local prefix, owner, resp_id, anchor_kind, anchor_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local echo, input, model_request = ARGV[6], ARGV[7], ARGV[8]
local lease_ms, budget, body_hash, is_retry = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], ARGV[12] == '1'
local replica, fresh_timeline, opening_number = ARGV[13], ARGV[14], ARGV[15]
local retention_ms, idem_ms, account = tonumber(ARGV[16]), tonumber(ARGV[17]), cjson.decode(ARGV[18])
local unanswered, is_stored = cjson.decode(ARGV[19]), ARGV[20] == '1'
-- Far beyond the longest answer: what is not stored is erased when it is delivered, or with its replica's lease.
local UNSTORED_S = 3600

local now_ms = read_clock_ms()
local has_idem = idem_key ~= resp_key

-- Where the history is read from, or nil and the refusal; a turn that continues nothing begins a timeline of its own.
local function find_base()
  if anchor_kind == 'none' then return { timeline = fresh_timeline, position = 0 } end
  if anchor_kind == 'previous' then
    local prev = redis.call('HMGET', anchor_key, 'owner', 'status', 'timeline', 'position', 'unstored')
    if prev[1] ~= owner or prev[5] then return nil, {'not_found'} end
    if not CONTINUABLE[prev[2]] then return nil, {'not_ended', prev[2]} end
    return { timeline = prev[3], position = tonumber(prev[4]) }
  end
  local conv = redis.call('HMGET', anchor_key, 'owner', 'active', 'timeline', 'head')
  if conv[1] ~= owner then return nil, {'not_found'} end
  local active = conv[2]
  if active ~= '' then
    if is_retry and redis.call('HGET', prefix .. 'resp:' .. active, 'body_hash') == body_hash then
      return nil, {'attach', active}
    end
    return nil, {'locked', active}
  end
  return { timeline = conv[3], position = tonumber(conv[4]) }
end

-- The root that a timeline is erased with, and the member of the expiry that the root lives by. Nil when it does not
-- live: what is being erased cannot be continued.
local function find_root(timeline)
  local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
  local expiry = root and find_expiry(prefix, expiry_key, root)
  if not expiry then return nil end
  return root, expiry
end

local timeline, position, created_ms
local born = redis.call('HMGET', resp_key, 'timeline', 'position', 'created_ms', 'deleted', 'epoch', 'status')
if born[4] then return {'not_found'} end
if born[3] then
  -- The client library asked again, because the first answer was lost on its way.
  timeline, position, created_ms = born[1], tonumber(born[2]), tonumber(born[3])
  if born[5] == '1' and born[6] == 'in_progress' then redis.call('ZADD', leases_key, now_ms + lease_ms, resp_id) end
else
  if has_idem then
    local earlier = find_earlier(idem_key, body_hash)
    if earlier then return earlier end
  end
  local base, refusal = find_base()
  if not base then return refusal end
  timeline, position, created_ms = base.timeline, base.position, now_ms
  for _, call_id in ipairs(unanswered) do
    if not has_call(prefix, timeline, position, call_id) then return {'unknown_call', call_id} end
  end
  local root, expiry = timeline, 'chain:' .. timeline
  if not is_stored then
    if anchor_kind ~= 'none' and not find_root(timeline) then return {'not_found'} end
  elseif anchor_kind == 'none' then
    redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 0, 'root', root, 'owner', owner, 'expiry', expiry)
  else
    root, expiry = find_root(timeline)
    if not root then return {'not_found'} end
  end
  if anchor_kind == 'conversation' then redis.call('HSET', anchor_key, 'active', resp_id, 'used_ms', now_ms) end
  if has_idem then redis.call('SET', idem_key, resp_id .. ' ' .. body_hash, 'PX', idem_ms) end
  redis.call('HSET', resp_key, 'v', 1, 'owner', owner, 'status', 'in_progress', 'anchor_kind', anchor_kind,
    'anchor', anchor_id, 'echo', echo, 'input', input, 'model_request', model_request, 'epoch', '1', 'attempts', 1,
    'replica', replica, 'body_hash', body_hash, 'created_ms', created_ms, 'timeline', timeline, 'position', position,
    'logged', opening_number)
  -- The opening events follow from the echo alone.
  redis.call('XADD', log_key, '0-' .. opening_number, 's', '[]')
  redis.call('ZADD', leases_key, now_ms + lease_ms, resp_id)
  if is_stored then
    -- Everything below one root is erased with it, and its time begins anew with every turn.
    redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'resp:' .. resp_id)
    redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
  else
    redis.call('HSET', resp_key, 'unstored', 1)
    redis.call('EXPIRE', resp_key, UNSTORED_S)
    redis.call('EXPIRE', log_key, UNSTORED_S)
  end
end

local reply = {'ok', created_ms, '1', ''}
local found, spent = read_window(reply, prefix, timeline, position, budget, math.huge)
account.history_items, account.history_tokens, account.dropped_items = found, spent, position - found
-- What the model is given follows from what stands here: whoever takes the response over gives it the same.
reply[4] = cjson.encode(account)
redis.call('HSET', resp_key, 'model_input', reply[4])
return reply
