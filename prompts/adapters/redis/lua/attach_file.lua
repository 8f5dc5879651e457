-- Note that a vector store has the file.
--
-- RETURNS JSON, what is shown of it | false unknown, deleted, expired, or another owner's
-- INCLUDES clock files
assert(#KEYS == 2 and #ARGV == 2)
local file_key = KEYS[1] -- hash
local stores_key = KEYS[2] -- set
local owner = ARGV[1]
local vector_store_id = ARGV[2]

if not is_shown(file_key, owner, read_clock_ms()) then return false end
redis.call('SADD', stores_key, vector_store_id)
return redis.call('HGET', file_key, 'shown')
