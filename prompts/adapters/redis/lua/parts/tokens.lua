-- The tokens of an owner: a hash with a field for each second, `s:<second>`, and for the month, `m:<year><month>`.
-- Those of a second count until the whole of it is a minute old.
local SLOT_S = 61
-- What is reserved and not settled is found again in the month; nothing is needed longer.
local TOKENS_KEPT_S = 32 * 86400

-- RETURNS the tokens of the last minute; its seconds as {second, tokens}, oldest first; seconds that do not count any more
local function read_minute(tokens_key, now_s)
  local fields, used, slots, old = redis.call('HGETALL', tokens_key), 0, {}, {}
  for i = 1, #fields, 2 do
    local second = tonumber(string.match(fields[i], '^s:(%d+)$'))
    if second and second + SLOT_S <= now_s then
      old[#old + 1] = fields[i]
    elseif second then
      local tokens = tonumber(fields[i + 1])
      used = used + tokens
      slots[#slots + 1] = {second, tokens}
    end
  end
  table.sort(slots, function(one, other) return one[1] < other[1] end)
  return used, slots, old
end

-- RETURNS how long it takes until so many of these tokens do not count any more, or all, in milliseconds
local function find_wait_ms(slots, tokens, now_ms)
  local freed = 0
  for _, slot in ipairs(slots) do
    freed = freed + slot[2]
    if freed >= tokens then return (slot[1] + SLOT_S) * 1000 - now_ms end
  end
  return #slots > 0 and (slots[#slots][1] + SLOT_S) * 1000 - now_ms or 0
end

-- The month of a time, in UTC, as the name of its field: days are counted from 0000-03-01, as in "civil_from_days"
-- (https://howardhinnant.github.io/date_algorithms.html).
local function name_month(now_s)
  local days = math.floor(now_s / 86400) + 719468
  local era = math.floor(days / 146097)
  local day_of_era = days - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local month_from_march = math.floor((5 * day_of_year + 2) / 153)
  local month = month_from_march < 10 and month_from_march + 3 or month_from_march - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return string.format('m:%04d%02d', year, month)
end

-- Count some tokens more, or fewer, where the field is still there.
local function count_tokens(tokens_key, field, tokens)
  if tokens == 0 or redis.call('HEXISTS', tokens_key, field) == 0 then return end
  if redis.call('HINCRBY', tokens_key, field, tokens) < 0 then redis.call('HSET', tokens_key, field, 0) end
end
