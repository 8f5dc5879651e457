-- End a response: status, result, items onto its timeline, conversation, log and lease, in one step and once.
--
-- RETURNS 1 ended, or ended before by this epoch | 0 the run is stale, or the timeline is being erased
--         | -N the log ends at the number N, before the last signals: a fail-over has lost the log's end
-- INCLUDES clock expiry items
assert(#KEYS == 4 and #ARGV == 14)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2] -- stream: its event log
local leases_key = KEYS[3] -- sorted set, of the partition
local expiry_key = KEYS[4] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local response_id = ARGV[2]
local epoch = ARGV[3]
local status = ARGV[4] -- how it ends
local result = ARGV[5] -- JSON
local failure = ARGV[6] -- JSON; "" when it did not fail
local after = tonumber(ARGV[7]) -- last sequence number before the last signals
local last_number = ARGV[8] -- last sequence number of all
local signals = ARGV[9] -- the last ones: JSON array
local items = cjson.decode(ARGV[10]) -- array of {id, item JSON, tokens, call id or ""}; empty: the timeline stays
local fresh_timeline = ARGV[11] -- id, for a fork
local log_channel = ARGV[12]
local log_retention_s = ARGV[13] -- how long the log is kept from now on
local retention_ms = tonumber(ARGV[14]) -- how long the history is kept from now on

local found_epoch, found_status, anchor_kind, anchor_id, timeline, position, logged, unstored =
  unpack(redis.call('HMGET', response_key, 'epoch', 'status', 'anchor_kind', 'anchor', 'timeline', 'position', 'logged',
    'unstored'))
if found_epoch ~= epoch then return 0 end
if found_status ~= 'in_progress' then return found_status == status and 1 or 0 end
position, logged = tonumber(position), tonumber(logged)
if logged < after then return -logged end

if unstored then
  -- Nothing of it stays: whoever delivers it erases it.
  redis.call('XADD', log_key, '0-' .. last_number, 's', signals, 'e', 1)
  redis.call('HSET', response_key, 'status', status, 'result', result)
  if failure ~= '' then redis.call('HSET', response_key, 'failure', failure) end
  redis.call('ZREM', leases_key, response_id)
  redis.call('PUBLISH', log_channel, last_number)
  return 1
end

local length, root, owning_conversation =
  unpack(redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 'root', 'conversation'))
local expiry = root and find_expiry(prefix, expiry_key, root)
if not expiry then return 0 end

-- First, because it is the one write that Redis could refuse, and a script that fails keeps what it wrote before.
redis.call('XADD', log_key, '0-' .. last_number, 's', signals, 'e', 1)
redis.call('EXPIRE', log_key, log_retention_s)

if #items > 0 then
  length = tonumber(length)
  if anchor_kind ~= 'conversation' and (length ~= position or owning_conversation) then
    -- A turn that continues an earlier response, or one of a conversation: it gets a timeline of its own, forked here.
    redis.call('HSET', prefix .. 'tl:' .. fresh_timeline .. ':meta', 'root', root, 'parent', timeline,
      'parent_position', position)
    redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'tl:' .. fresh_timeline)
    timeline, length = fresh_timeline, position
  end
  position = append_items(prefix, timeline, length, items)
end

local now_ms = read_clock_ms()
if anchor_kind == 'conversation' then
  local conversation_key = prefix .. 'conv:' .. anchor_id
  if redis.call('HGET', conversation_key, 'active') == response_id then
    redis.call('HSET', conversation_key, 'active', '', 'head', position, 'used_ms', now_ms)
  end
end
redis.call('HSET', response_key, 'status', status, 'result', result, 'timeline', timeline, 'position', position,
  'ended_ms', now_ms)
if failure ~= '' then redis.call('HSET', response_key, 'failure', failure) end
redis.call('ZREM', leases_key, response_id)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
redis.call('PUBLISH', log_channel, last_number)
return 1
