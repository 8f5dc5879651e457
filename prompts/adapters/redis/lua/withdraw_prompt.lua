-- Withdraw a template. For a while it says so to whoever still publishes it.
--
-- RETURNS 1; the same call again the same
assert(#KEYS == 3 and #ARGV == 2)
local prompt_key = KEYS[1] -- hash
local published_key = KEYS[2] -- hash: template → revision
local withdrawn_key = KEYS[3] -- string
local prompt_id = ARGV[1]
local remembered_s = ARGV[2]

redis.call('UNLINK', prompt_key)
redis.call('HDEL', published_key, prompt_id)
redis.call('SET', withdrawn_key, '1', 'EX', remembered_s)
return 1
