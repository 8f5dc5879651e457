-- Add what some answers of an owner have shown to what is known of models' tokens, and give back all that is known.
--
-- RETURNS {model, "factor answers", …}
assert(#KEYS == 1 and #ARGV == 6)
local factors_key = KEYS[1] -- hash: model → "factor answers"
local samples = cjson.decode(ARGV[1]) -- array of {model, factor, answers}: they reported `factor` times the estimate
local lowest = tonumber(ARGV[2]) -- factor
local highest = tonumber(ARGV[3]) -- factor
local share = tonumber(ARGV[4]) -- of the way to what an answer shows: one answer moves a factor at least so far
local max_models = tonumber(ARGV[5])
local kept_s = ARGV[6] -- how long it is kept from now on

for _, sample in ipairs(samples) do
  local model, shown, answers = sample[1], sample[2], sample[3]
  local known = redis.call('HGET', factors_key, model)
  if known or redis.call('HLEN', factors_key) < max_models then
    local factor, seen = string.match(known or '1 0', '^(%S+) (%d+)$')
    factor, seen = tonumber(factor), tonumber(seen)
    -- The mean of the first answers; later ones count as much as a moving mean lets them, however many came before.
    local weight = math.max(answers / (seen + answers), 1 - (1 - share) ^ answers)
    factor = math.min(highest, math.max(lowest, factor + (shown - factor) * weight))
    redis.call('HSET', factors_key, model, string.format('%.4f %d', factor, seen + answers))
  end
end
if #samples > 0 then redis.call('EXPIRE', factors_key, kept_s) end
return redis.call('HGETALL', factors_key)
