-- End a response: status, result, items onto its timeline, conversation, log and lease, in one step and once.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)
-- ARGV 1 prefix of the partition's keys   2 response id   3 epoch   4 status   5 result (JSON)   6 last sequence number
--      7 last signals (JSON array)   8 items (JSON array of [id, item JSON, tokens]; empty: the timeline stays)
--      9 the log's retention, s   10 a fresh timeline id, for a first turn or a fork
-- RETURNS 1 ended (or already ended by this epoch) | 0 the run is stale
local resp_key, log_key, leases_key = KEYS[1], KEYS[2], KEYS[3]
local prefix, resp_id, epoch, status, result = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local last_number, signals, items = ARGV[6], ARGV[7], cjson.decode(ARGV[8])
local retention_s, fresh_timeline = tonumber(ARGV[9]), ARGV[10]

local resp = redis.call('HMGET', resp_key, 'epoch', 'status', 'anchor_kind', 'anchor', 'timeline', 'position')
if resp[1] ~= epoch then return 0 end
if resp[2] ~= 'in_progress' then return resp[2] == status and 1 or 0 end
local anchor_kind, anchor_id, timeline, position = resp[3], resp[4], resp[5], tonumber(resp[6])

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local conv_key = anchor_kind == 'conversation' and prefix .. 'conv:' .. anchor_id

if #items > 0 then
  local meta_key = prefix .. 'tl:' .. timeline .. ':meta'
  local length = timeline ~= '' and tonumber(redis.call('HGET', meta_key, 'length') or 0)
  local is_conversations = timeline ~= '' and redis.call('HEXISTS', meta_key, 'conversation') == 1
  if not conv_key and (timeline == '' or length ~= position or is_conversations) then
    -- A first turn, an answer to an earlier response, or to one of a conversation's: a timeline of its own.
    local parent, parent_position = timeline, position
    timeline = fresh_timeline
    meta_key, length = prefix .. 'tl:' .. timeline .. ':meta', position
    redis.call('HSET', meta_key, 'length', length)
    if parent ~= '' then redis.call('HSET', meta_key, 'parent', parent, 'parent_position', parent_position) end
  end
  for _, entry in ipairs(items) do
    length = length + 1
    redis.call('XADD', prefix .. 'tl:' .. timeline, length .. '-0', 'i', entry[2], 't', entry[3])
    redis.call('SET', prefix .. 'item:' .. entry[1], timeline .. ' ' .. length)
  end
  redis.call('HSET', meta_key, 'length', length)
  position = length
end

if conv_key and redis.call('HGET', conv_key, 'active') == resp_id then
  redis.call('HSET', conv_key, 'active', '', 'head', position, 'used_ms', now_ms)
end
redis.call('HSET', resp_key, 'status', status, 'result', result, 'timeline', timeline, 'position', position, 'ended_ms', now_ms)
redis.call('XADD', log_key, '0-' .. last_number, 's', signals)
redis.call('EXPIRE', log_key, retention_s)
redis.call('ZREM', leases_key, resp_id)
return 1
