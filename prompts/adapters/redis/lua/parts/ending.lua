-- INCLUDES account clock expiry items outbox staged timelines
-- Put the later form of a field in its place, if it has one.
-- RETURNS how many bytes fewer it takes
local function shorten(response_key, field, later_field)
  local later = redis.call('HGET', response_key, later_field)
  if not later then return 0 end
  local size = redis.call('HSTRLEN', response_key, field)
  redis.call('HSET', response_key, field, later)
  redis.call('HDEL', response_key, later_field)
  return size - #later
end

-- End a response: status, result, items onto its timeline, conversation, log and lease, in one step and once.
--
-- `ending`: response_id, epoch, status, result (JSON), failure (JSON; "" when it did not fail), after (last sequence number
-- before the last signals), last_number (of all; with both -1 the end is one event behind whatever the log holds),
-- signals (the last ones: JSON array), items (array of {id, item JSON, tokens, call id or "", kept or ""}; empty: the
-- timeline stays), staged, staged_length (the timeline that has them instead, and where it ends; ""), fresh_timeline (id,
-- for a fork), log_retention_s, retention_ms (how long the log and the history are kept from now on), passages (JSON array
-- of what the model was given; "" when it was given none), first_token_ms (how long its first word took; "" or nil when no
-- process knows).
--
-- RETURNS 1 ended, or ended before by this epoch | 0 the run is stale, or the timeline is being erased
--         | 2 what was staged is not there any more
--         | -N the log ends at the number N, before the last signals: a fail-over has lost the log's end
local function end_response(prefix, response_key, log_key, leases_key, expiry_key, ending)
  local response_id, log_channel = ending.response_id, prefix .. 'grown:' .. ending.response_id
  local found_epoch, found_status, anchor_kind, anchor_id, timeline, position, logged, unstored, owner =
    unpack(redis.call('HMGET', response_key, 'epoch', 'status', 'anchor_kind', 'anchor', 'timeline', 'position',
      'logged', 'unstored', 'owner'))
  if found_epoch ~= ending.epoch then return 0 end
  if found_status ~= 'in_progress' then return found_status == ending.status and 1 or 0 end
  position, logged = tonumber(position), tonumber(logged or 0)
  if logged < ending.after or tonumber(ending.last_number) < 0 then
    -- A later release leaves the log's end to the log alone.
    local newest = redis.call('XREVRANGE', log_key, '+', '-', 'COUNT', 1)[1]
    logged = math.max(logged, newest and tonumber(string.match(newest[1], '%d+$')) or 0)
  end
  if logged < ending.after then return -logged end
  if tonumber(ending.last_number) < 0 then ending.last_number = logged + 1 end

  if unstored then
    -- Nothing of it stays: whoever delivers it erases it.
    redis.call('XADD', log_key, '0-' .. ending.last_number, 's', ending.signals, 'e', 1)
    redis.call('HSET', response_key, 'status', ending.status, 'result', ending.result)
    if ending.failure ~= '' then redis.call('HSET', response_key, 'failure', ending.failure) end
    redis.call('ZREM', leases_key, response_id)
    redis.call('PUBLISH', log_channel, 'ended')
    return 1
  end

  local length, root, owning_conversation =
    unpack(redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 'root', 'conversation'))
  local expiry = root and find_expiry(prefix, expiry_key, root)
  if not expiry then return 0 end
  if ending.staged ~= '' and not is_staged(prefix, ending.staged, ending.staged_length) then return 2 end

  -- First, because it is the one write that Redis could refuse, and a script that fails keeps what it wrote before.
  redis.call('XADD', log_key, '0-' .. ending.last_number, 's', ending.signals, 'e', 1)
  redis.call('EXPIRE', log_key, ending.log_retention_s)
  redis.call('UNLINK', prefix .. 'readers:' .. response_id)

  if ending.staged ~= '' then
    if anchor_kind == 'conversation' then
      join_conversation(prefix, expiry_key, ending.staged, anchor_id, timeline, position)
    else
      join_branch(prefix, expiry_key, owner, ending.staged, root, timeline, position)
    end
    timeline, position = ending.staged, ending.staged_length
  elseif #ending.items > 0 then
    length = tonumber(length)
    if anchor_kind ~= 'conversation' and (length ~= position or owning_conversation) then
      -- A turn that continues an earlier response, or one of a conversation: it gets a timeline of its own, forked here.
      redis.call('HSET', prefix .. 'tl:' .. ending.fresh_timeline .. ':meta', 'root', root, 'parent', timeline,
        'parent_position', position, 'depth', find_depth(prefix, timeline) + 1)
      add_branch(prefix, root, ending.fresh_timeline)
      timeline, length = ending.fresh_timeline, position
    end
    position = append_items(prefix, owner, timeline, length, ending.items)
  end

  local now_ms = read_clock_ms()
  if anchor_kind == 'conversation' then
    local conversation_key = prefix .. 'conv:' .. anchor_id
    if redis.call('HGET', conversation_key, 'active') == response_id then
      redis.call('HSET', conversation_key, 'active', '', 'head', position, 'used_ms', now_ms)
    end
  end
  redis.call('HSET', response_key, 'status', ending.status, 'result', ending.result, 'timeline', timeline,
    'position', position, 'ended_ms', now_ms)
  if ending.failure ~= '' then redis.call('HSET', response_key, 'failure', ending.failure) end
  -- What only a run needs goes with it, and what the result says as well.
  local shrunk = shorten(response_key, 'model_request', 'later_request')
  if redis.call('HEXISTS', response_key, 'later_echo') == 1 then
    redis.call('HSET', response_key, 'short_echo', 1)
    shrunk = shrunk + shorten(response_key, 'echo', 'later_echo')
  end
  if (ending.first_token_ms or '') ~= '' then
    redis.call('HSET', response_key, 'first_token_ms', ending.first_token_ms)
  end
  if ending.passages ~= '' then redis.call('HSET', response_key, 'passages', ending.passages) end
  count_bytes(prefix, owner, response_key, #ending.result + #ending.passages - shrunk)
  redis.call('ZREM', leases_key, response_id)
  redis.call('ZADD', expiry_key, now_ms + ending.retention_ms, expiry)
  note_hash(prefix, response_key)
  redis.call('PUBLISH', log_channel, 'ended')
  return 1
end

