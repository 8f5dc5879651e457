-- Admit a response: attach a retry to the response it repeats, refuse a turn that its anchor does not allow, or create
-- the response with its lease and give back its window. With an ending, the response in the way is ended first.
--
-- RETURNS {"ok", created ms, epoch, account (JSON), 1 the ending was written | 0, item, item, …}, newest item first; the
--         same call again the same
--         | {"too_deep"} the history stands on too many forks
--         | {"in_the_way", response id, call id, …}: an active response that gives way, once it is seized and an ending
--           comes with the call; the calls are those that the history lacks without it
--         | {"ending", response id}: the same, and another call is ending it at this moment
--         | {"locked", response id} | {"not_ended", status}; with one more word "followed" when somebody reads it who may
--           be leaving | {"attach", response id} | {"key_reused"} | {"not_found"} | {"unknown_call", call id}
--         | {"may_not_begin"}
-- INCLUDES account calls clock ending expiry idempotency outbox readers statuses timelines window
assert(#KEYS == 6 and #ARGV == 30)
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
local echo = ARGV[6] -- JSON; "": the response has it already, with the input and the model request
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
local yields = ARGV[21] == '1' -- whether it will give way to others when nobody reads it
local reader_id = ARGV[22] -- who reads it, or what it attaches to, from now on
local displaces = ARGV[23] -- which active responses give way to it: "none" | "abandoned" | "any"
local packed_ending = ARGV[24] -- JSON: how the response in the way ends (see end_response); "": nothing is in the way
local met_id = ARGV[25] -- a response that was in the way of this turn before, or ""
local history_bytes = tonumber(ARGV[26]) -- budget of the window
local is_large = ARGV[27] == '1' -- whether its items will be staged, and come on a timeline of their own
local later_request = ARGV[28] -- JSON: what of the model request is needed when the run has ended; "": all of it
local later_echo = ARGV[29] -- JSON: what of the echo the result will not say; "": all of it is kept
local may_begin = ARGV[30] == '1' -- false: it only attaches to a response that is there

-- Far beyond the longest answer: what is not stored is erased when it is delivered, or with its replica's lease.
local UNSTORED_S = 3600

local now_ms = read_clock_ms()
local has_idempotency_key = idempotency_key ~= response_key
local has_displaced, displaced_key = 0, nil

local function remember(claimed_id)
  if not has_idempotency_key then return end
  claim(prefix, idempotency_key, claimed_id, body_hash, idempotency_ms)
end

local function attach(active)
  if redis.call('HGET', prefix .. 'resp:' .. active, 'status') == 'in_progress' then
    mark_reader(prefix .. 'readers:' .. active, reader_id, now_ms, lease_ms)
  end
  return {'attach', active}
end

-- Attach to an active response of the same body: from now on the key of this turn names that response too, so that its
-- retries attach to it as well when it has ended.
local function attach_new(active)
  remember(active)
  return attach(active)
end

-- The reply to a turn that meets an active response: it attaches, the response gives way, or the turn is refused.
local function meet(active, refusal)
  local readers_key = prefix .. 'readers:' .. active
  local active_hash, ending, active_yields =
    unpack(redis.call('HMGET', prefix .. 'resp:' .. active, 'body_hash', 'ending', 'yields'))
  if is_retry and active_hash == body_hash then return attach_new(active) end
  -- The client library asked again, because the first answer was lost on its way.
  if redis.call('ZSCORE', readers_key, reader_id) then return attach_new(active) end
  if displaces == 'none' then return refusal end
  -- Of several turns that interrupt the same response one wins; they do not interrupt each other.
  if displaces == 'any' and met_id ~= '' and redis.call('HGET', prefix .. 'resp:' .. met_id, 'displaced_by') == active then
    return refusal
  end
  if ending == 'cancelled' then
    if tonumber(redis.call('ZSCORE', leases_key, active) or 0) > now_ms then return {'ending', active} end
  elseif displaces == 'abandoned' then
    if not active_yields then return refusal end -- in the background, or admitted by a release that leaves no marks
    if is_followed(readers_key, now_ms) then
      refusal[#refusal + 1] = 'followed'
      return refusal
    end
    if active_hash == body_hash then return attach_new(active) end
  end
  return {'in_the_way', active}
end

local function find_end_of_response()
  local found_owner, status, timeline, position, unstored =
    unpack(redis.call('HMGET', anchor_key, 'owner', 'status', 'timeline', 'position', 'unstored'))
  if found_owner ~= owner or unstored then return nil, nil, {'not_found'} end
  local refusal
  if not CONTINUABLE[status] then refusal = {'not_ended', status} end
  if status == 'in_progress' then refusal = meet(anchor_id, refusal) end
  return timeline, tonumber(position), refusal
end

-- The refusal of a turn that met a response which has ended since, although nobody cancelled it: of several turns at
-- once one was admitted, and the others do not come after it.
local function find_lost_race()
  if met_id == '' or has_displaced == 1 then return nil end
  local status, displaced_by = unpack(redis.call('HMGET', prefix .. 'resp:' .. met_id, 'status', 'displaced_by'))
  if not status or (status == 'cancelled' and not displaced_by) then return nil end
  return {'locked', displaced_by or met_id}
end

local function find_end_of_conversation()
  local found_owner, active, timeline, head =
    unpack(redis.call('HMGET', anchor_key, 'owner', 'active', 'timeline', 'head'))
  if found_owner ~= owner then return nil, nil, {'not_found'} end
  if active == '' then return timeline, tonumber(head), find_lost_race() end
  return timeline, tonumber(head), meet(active, {'locked', active})
end

-- The timeline that the turn continues, the position where its history ends, and the reply when it cannot, or not yet.
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

-- Whether the turn would put one more timeline on a history that stands on as many as it may. Of turns that continue
-- from the same response at once all but one fork, so one timeline more than that may come to be; no turn goes on there.
local function is_too_deep(timeline, position)
  if anchor_kind == 'none' or (anchor_kind == 'conversation' and not is_large) then return false end
  local depth = find_depth(prefix, timeline)
  if depth ~= MAX_DEPTH or is_large then return depth >= MAX_DEPTH + (is_large and 0 or 1) end
  local length, owning_conversation =
    unpack(redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 'conversation'))
  return owning_conversation or tonumber(length) ~= position
end

local function create_response(timeline, position)
  if anchor_kind == 'conversation' then redis.call('HSET', anchor_key, 'active', response_id, 'used_ms', now_ms) end
  if echo ~= '' then
    redis.call('HSET', response_key, 'echo', echo, 'input', input, 'model_request', model_request)
  else
    redis.call('PERSIST', response_key)
  end
  if later_request ~= '' then redis.call('HSET', response_key, 'later_request', later_request) end
  if later_echo ~= '' then redis.call('HSET', response_key, 'later_echo', later_echo) end
  redis.call('HSET', response_key, 'v', 1, 'owner', owner, 'status', 'in_progress', 'anchor_kind', anchor_kind,
    'anchor', anchor_id, 'epoch', '1', 'attempts', 1, 'replica', replica_id, 'body_hash', body_hash,
    'created_ms', now_ms, 'timeline', timeline, 'position', position, 'logged', opening_number)
  remember(response_id)
  -- The opening events follow from the echo alone.
  redis.call('XADD', log_key, '0-' .. opening_number, 's', '[]')
  redis.call('ZADD', leases_key, now_ms + lease_ms, response_id)
  if has_displaced == 1 then redis.call('HSET', displaced_key, 'displaced_by', response_id) end
  if yields then
    redis.call('HSET', response_key, 'yields', 1)
    mark_reader(prefix .. 'readers:' .. response_id, reader_id, now_ms, lease_ms)
  end
end

-- End the response in the way. One that another call has seized since, or ended, stays as it is: then it is met again.
local function displace(ending)
  local log_key = prefix .. 'ev:' .. ending.response_id
  displaced_key = prefix .. 'resp:' .. ending.response_id
  return end_response(prefix, displaced_key, log_key, leases_key, expiry_key, ending) == 1 and 1 or 0
end

-- The reply about a response that gives way, unless the turn cannot be admitted behind it either.
local function make_way(reply, timeline, position)
  if not find_root(timeline) then return {'not_found'} end
  for _, call_id in ipairs(find_missing_calls(prefix, timeline, position, unanswered)) do
    reply[#reply + 1] = call_id
  end
  return reply
end

if packed_ending ~= '' then has_displaced = displace(cjson.decode(packed_ending)) end
local timeline, position, created_ms, deleted, epoch, status =
  unpack(redis.call('HMGET', response_key, 'timeline', 'position', 'created_ms', 'deleted', 'epoch', 'status'))
if deleted then return {'not_found'} end
if created_ms then
  -- The client library asked again, because the first answer was lost on its way.
  position, created_ms = tonumber(position), tonumber(created_ms)
  if epoch == '1' and status == 'in_progress' then redis.call('ZADD', leases_key, now_ms + lease_ms, response_id) end
else
  local earlier = has_idempotency_key and find_earlier(idempotency_key, body_hash)
  if earlier then return earlier[1] == 'attach' and attach(earlier[2]) or earlier end
  local refusal
  timeline, position, refusal = find_history()
  if refusal then return refusal[1] == 'in_the_way' and make_way(refusal, timeline, position) or refusal end
  if not may_begin then return {'may_not_begin'} end
  created_ms = now_ms
  if is_too_deep(timeline, position) then return {'too_deep'} end
  local missing = find_missing_calls(prefix, timeline, position, unanswered)
  if #missing > 0 then return {'unknown_call', missing[1]} end

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
    count_fields(prefix, owner, response_key, {'echo', 'input', 'model_request'})
    -- Everything below one root is erased with it, and its time begins anew with every turn.
    redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'resp:' .. response_id)
    redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
    note_hash(prefix, response_key)
  else
    redis.call('HSET', response_key, 'unstored', 1)
    redis.call('EXPIRE', response_key, UNSTORED_S)
    redis.call('EXPIRE', log_key, UNSTORED_S)
  end
end

local reply = {'ok', created_ms, '1', '', has_displaced}
local found, spent = read_window(reply, prefix, timeline, position, history_tokens, math.huge, history_bytes)
-- What came after the store's part of the history is counted already: it is before the new input, in the request.
account.history_items, account.history_tokens = account.history_items + found, account.history_tokens + spent
account.dropped_items = account.dropped_items + position - found
-- What the model is given follows from what stands here: whoever takes the response over gives it the same.
reply[4] = cjson.encode(account)
redis.call('HSET', response_key, 'model_input', reply[4])
return reply
