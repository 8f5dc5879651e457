-- Add what some answers have shown to what is known of models' tokens, and give back all that is known.
--
-- KEYS 1 what is known (hash: model → "factor answers")
-- ARGV 1 JSON array of [model, factor, answers]: how often the estimate these answers have reported   2 lowest factor
--      3 highest factor   4 what one answer moves at least, as a share of the way   5 how many models are kept at most
-- RETURNS {model, "factor answers", …}
local key, samples = KEYS[1], cjson.decode(ARGV[1])
local lowest, highest, share, max_models = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

for _, sample in ipairs(samples) do
  local model, shown, answers = sample[1], sample[2], sample[3]
  local known = redis.call('HGET', key, model)
  if known or redis.call('HLEN', key) < max_models then
    local factor, seen = string.match(known or '1 0', '^(%S+) (%d+)$')
    factor, seen = tonumber(factor), tonumber(seen)
    -- The mean of the first answers; later ones count as much as a moving mean lets them, however many came before.
    local weight = math.max(answers / (seen + answers), 1 - (1 - share) ^ answers)
    factor = math.min(highest, math.max(lowest, factor + (shown - factor) * weight))
    redis.call('HSET', key, model, string.format('%.4f %d', factor, seen + answers))
  end
end
return redis.call('HGETALL', key)
