-- End a response: status, result, items onto its timeline, conversation, log and lease, in one step and once.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)   4 its expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 response id   3 epoch   4 status   5 result (JSON)   6 last sequence number
--      7 last signals (JSON array)   8 items (JSON array of [id, item JSON, tokens, call id or ""]; empty: the timeline stays)
--      9 the log's retention, s   10 a fresh timeline id, for a fork   11 the log's channel
--      12 failure (JSON; "" when it did not fail)   13 retention, ms   14 last sequence number before the last signals
-- RETURNS 1 ended (or already ended by this epoch) | 0 the run is stale, or what it hangs on is being erased
--         | -N the log ends at the number N, before the last signals: a fail-over has lost its tail
-- INCLUDES clock expiry items
local resp_key, log_key, leases_key, expiry_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, resp_id, epoch, status, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last_number, signals, items = ARGV[6], ARGV[7], cjson.decode(ARGV[8])
local retention_s, fresh_timeline, channel, failure = tonumber(ARGV[9]), ARGV[10], ARGV[11], ARGV[12]
local retention_ms, after = tonumber(ARGV[13]), tonumber(ARGV[14])

local resp = redis.call('HMGET', resp_key, 'epoch', 'status', 'anchor_kind', 'anchor', 'timeline', 'position', 'logged', 'unstored')
if resp[1] ~= epoch then return 0 end
if resp[2] ~= 'in_progress' then return resp[2] == status and 1 or 0 end
local logged = tonumber(resp[7])
if logged < after then return -logged end
local timeline, position = resp[5], tonumber(resp[6])
local conv_key = resp[3] == 'conversation' and prefix .. 'conv:' .. resp[4]

local now_ms = read_clock_ms()

if resp[8] then
  -- Nothing of it stays: whoever delivers it erases it.
  redis.call('XADD', log_key, '0-' .. last_number, 's', signals, 'e', 1)
  redis.call('HSET', resp_key, 'status', status, 'result', result)
  if failure ~= '' then redis.call('HSET', resp_key, 'failure', failure) end
  redis.call('ZREM', leases_key, resp_id)
  redis.call('PUBLISH', channel, last_number)
  return 1
end

local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'length', 'root', 'conversation')
local root, is_conversations = meta[2], meta[3]
local expiry = root and find_expiry(prefix, expiry_key, root)
if not expiry then return 0 end
local length = tonumber(meta[1])

-- First, because it is the one write that Redis could refuse, and a script that fails keeps what it wrote before.
redis.call('XADD', log_key, '0-' .. last_number, 's', signals, 'e', 1)
redis.call('EXPIRE', log_key, retention_s)
if #items > 0 then
  if not conv_key and (length ~= position or is_conversations) then
    -- An answer to an earlier response, or to one of a conversation's: a timeline of its own, which shares what was before.
    redis.call('HSET', prefix .. 'tl:' .. fresh_timeline .. ':meta', 'root', root, 'parent', timeline,
      'parent_position', position)
    redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'tl:' .. fresh_timeline)
    timeline, length = fresh_timeline, position
  end
  position = append_items(prefix, timeline, length, items)
end

if conv_key and redis.call('HGET', conv_key, 'active') == resp_id then
  redis.call('HSET', conv_key, 'active', '', 'head', position, 'used_ms', now_ms)
end
redis.call('HSET', resp_key, 'status', status, 'result', result, 'timeline', timeline, 'position', position,
  'ended_ms', now_ms)
if failure ~= '' then redis.call('HSET', resp_key, 'failure', failure) end
redis.call('ZREM', leases_key, resp_id)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
redis.call('PUBLISH', channel, last_number)
return 1
