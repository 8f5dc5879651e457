-- Reserve tokens for what an owner is about to ask of a model, where both limits have room for them. Reservations whose
-- holders have died end here.
--
-- RETURNS {"reserved" | "minute" | "month" the limit that has no room, tokens of the last minute, ms until none of them
--         counts any more, ms until the minute has room, tokens of the month, the time in ms}; the same call again
--         reserves nothing more
-- INCLUDES tokens
assert(#KEYS == 3 and #ARGV == 6)
local tokens_key = KEYS[1] -- hash: the owner's tokens by second and month
local reserved_key = KEYS[2] -- hash: reservation → "tokens second month held|settled"
local ends_key = KEYS[3] -- sorted set: reservations by when they end by themselves, in milliseconds
local reservation_id = ARGV[1]
local tokens = tonumber(ARGV[2])
local minute_limit = tonumber(ARGV[3]) -- 0: no limit
local month_limit = tonumber(ARGV[4]) -- 0: no limit
local hold_ms = tonumber(ARGV[5]) -- how long it is held for whoever settles it
local told_ms = tonumber(ARGV[6]) -- the time in milliseconds; 0: that of Redis

-- Few enough for a script; there are more only when many replicas have died.
local ENDED_AT_ONCE = 100

local now_ms = told_ms
if now_ms == 0 then
  local clock = redis.call('TIME')
  now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
end
local now_s = math.floor(now_ms / 1000)
local month = name_month(now_s)

for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends_key, '-inf', now_ms, 'LIMIT', 0, ENDED_AT_ONCE)) do
  local held, _, its_month = string.match(redis.call('HGET', reserved_key, id) or '', '^(%d+) (%d+) (%S+) held$')
  if held then count_tokens(tokens_key, its_month, -held) end
  redis.call('HDEL', reserved_key, id)
  redis.call('ZREM', ends_key, id)
end

local used, slots, old = read_minute(tokens_key, now_s)
if #old > 0 then redis.call('HDEL', tokens_key, unpack(old)) end
local month_used = tonumber(redis.call('HGET', tokens_key, month) or 0)
local verdict, wait_ms = 'reserved', 0
if redis.call('HEXISTS', reserved_key, reservation_id) == 0 then
  if month_limit > 0 and month_used + tokens > month_limit then
    verdict = 'month'
  elseif minute_limit > 0 and used + tokens > minute_limit then
    verdict, wait_ms = 'minute', find_wait_ms(slots, used + tokens - minute_limit, now_ms)
  else
    for _, field in ipairs(redis.call('HKEYS', tokens_key)) do
      if string.sub(field, 1, 2) == 'm:' and field ~= month then redis.call('HDEL', tokens_key, field) end
    end
    redis.call('HINCRBY', tokens_key, 's:' .. now_s, tokens)
    month_used = redis.call('HINCRBY', tokens_key, month, tokens)
    redis.call('HSET', reserved_key, reservation_id, string.format('%.0f %.0f %s held', tokens, now_s, month))
    redis.call('ZADD', ends_key, now_ms + hold_ms, reservation_id)
    for _, key in ipairs({tokens_key, reserved_key, ends_key}) do redis.call('EXPIRE', key, TOKENS_KEPT_S) end
    used, slots = read_minute(tokens_key, now_s)
  end
end
return {verdict, used, find_wait_ms(slots, math.huge, now_ms), wait_ms, month_used, now_ms}
