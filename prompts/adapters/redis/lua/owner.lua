-- Whose API key or client secret is this, and may its owner ask now? The limit is for the last minute, exact over all
-- replicas, and the project's own where it has one. A secret is valid while what it was made with is published, and its
-- time is not over.
--
-- RETURNS {} not valid | {'expired'} the secret | {'key_expired'} | {owner, 1 may ask | 0 may not, remaining, ms until the
--         oldest request is a minute old, answers of the owner that other replicas run, the time in seconds, 1 the key
--         is a narrowed one | 0, its scopes ("": all), when it expires in seconds (0: never), the limits of requests a
--         minute, of tokens a minute and a month (0: none), where tokens a minute are limited: those of the last
--         minute, ms until none of them counts any more; how many requests were counted ahead}
-- INCLUDES tokens
assert(#KEYS == 4 and #ARGV == 13)
local valid_key = KEYS[1] -- hash: the valid API keys, hash of the key → owner; or of users, owner → proof
local narrowed_key = KEYS[2] -- hash: the keys that open less, hash of the key → JSON
local used_key = KEYS[3] -- hash: hash of a key → when it was used last, in seconds
local limits_key = KEYS[4] -- hash: owner → the limits of their project, as JSON
local key_hash = ARGV[1] -- of the key, or of what has made the secret; '': a narrowed key has made it
local narrowed_hash = ARGV[2] -- the same as narrowed keys have it; '': no narrowed key has made the secret
local secret_owner = ARGV[3] -- of a client secret; '' for a key
local proof = ARGV[4] -- what must be published of the secret's maker
local expires_at = tonumber(ARGV[5]) -- of a secret, in seconds; 0 for a key
local requests_a_minute = tonumber(ARGV[6]) -- of owners without a limit of their own; 0: no limit
local tokens_a_minute = tonumber(ARGV[7]) -- likewise
local tokens_a_month = tonumber(ARGV[8]) -- likewise
local requests_prefix = ARGV[9] -- of the owners' requests: a sorted set each, in the same slot
local tokens_prefix = ARGV[10] -- of the owners' tokens: a hash each, in the same slot
local running_prefix = ARGV[11] -- of what the owners' answers are counted in: a hash each, in the same slot
local replica_id = ARGV[12] -- the one that asks
local ahead = tonumber(ARGV[13]) -- requests to count beside this one, which have not come yet

-- Near the limit none is counted ahead: of what is left at most this part.
local AHEAD_PART = 1 / 16
-- They come within this time, and count for a minute from its end.
local AHEAD_US = 1000000

local owner = key_hash ~= '' and redis.call('HGET', valid_key, key_hash)
local used_hash, is_narrowed, scopes, key_expires_at = key_hash, 0, '', 0
if not owner and narrowed_hash ~= '' then
  local found = redis.call('HGET', narrowed_key, narrowed_hash)
  if not found then return {} end
  local narrowed = cjson.decode(found)
  owner, used_hash, is_narrowed = narrowed.owner, narrowed_hash, 1
  scopes, key_expires_at = table.concat(narrowed.scopes or {}, ' '), narrowed.expires_at or 0
end
if not owner then return {} end
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now_s = tonumber(clock[1])
if secret_owner ~= '' then
  if owner ~= proof then return {} end
  if expires_at <= now_s then return {'expired'} end
end
if key_expires_at ~= 0 and key_expires_at <= now_s then return {'key_expired'} end
-- Of a user's secret nothing is noted: what is published there is a proof.
if (secret_owner == '' or secret_owner == owner) and redis.call('HGET', used_key, used_hash) ~= clock[1] then
  redis.call('HSET', used_key, used_hash, clock[1])
end
if secret_owner ~= '' then owner = secret_owner end

local found_limits = redis.call('HGET', limits_key, owner)
if found_limits then
  local limits = cjson.decode(found_limits)
  requests_a_minute = limits.requests_per_minute or requests_a_minute
  tokens_a_minute = limits.tokens_per_minute or tokens_a_minute
  tokens_a_month = limits.tokens_per_month or tokens_a_month
end

local elsewhere = 0
local running_key = running_prefix .. owner
local running = redis.call('HGETALL', running_key) -- replica, "answers deadline", …
for i = 1, #running, 2 do
  local answers, deadline_ms = string.match(running[i + 1], '^(%d+) (%d+)$')
  if tonumber(deadline_ms) * 1000 <= now_us then
    redis.call('HDEL', running_key, running[i])
  elseif running[i] ~= replica_id then
    elsewhere = elsewhere + tonumber(answers)
  end
end

local counted_ahead = 0

local function tell(may_ask, remaining, reset_ms)
  local tokens, tokens_reset_ms = 0, 0
  if tokens_a_minute > 0 then
    local used, slots = read_minute(tokens_prefix .. owner, now_s)
    tokens, tokens_reset_ms = used, find_wait_ms(slots, math.huge, math.floor(now_us / 1000))
  end
  return {owner, may_ask, remaining, reset_ms, elsewhere, now_s, is_narrowed, scopes, key_expires_at,
    requests_a_minute, tokens_a_minute, tokens_a_month, tokens, tokens_reset_ms, counted_ahead}
end

if requests_a_minute == 0 then return tell(1, 0, 0) end

local requests_key = requests_prefix .. owner
redis.call('ZREMRANGEBYSCORE', requests_key, '-inf', now_us - 60000000)
local asked = redis.call('ZCARD', requests_key)
local may_ask = asked < requests_a_minute
if may_ask then
  local member = string.format('%.0f', now_us)
  redis.call('ZADD', requests_key, member, member)
  counted_ahead = math.min(ahead, math.floor((requests_a_minute - asked - 1) * AHEAD_PART))
  local latest = string.format('%.0f', now_us + AHEAD_US)
  for i = 1, counted_ahead do redis.call('ZADD', requests_key, latest, member .. ':' .. i) end
  redis.call('PEXPIRE', requests_key, 60000 + AHEAD_US / 1000)
  asked = asked + 1 + counted_ahead
end
local oldest = redis.call('ZRANGE', requests_key, 0, 0, 'WITHSCORES')
local reset_ms = math.ceil((tonumber(oldest[2]) + 60000000 - now_us) / 1000)
return tell(may_ask and 1 or 0, requests_a_minute - asked, reset_ms)
