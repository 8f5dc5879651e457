-- A version of a template that an owner may use: their own, or everybody's.
--
-- RETURNS {number, owner ("" for everybody), content (JSON)} | {} unknown, another owner's, or without that version
assert(#KEYS == 1 and #ARGV == 2)
local prompt_key = KEYS[1] -- hash
local asking = ARGV[1] -- an owner
local number = ARGV[2] -- "": the default

-- The owner first: reading a long text of another's would take longer than finding none.
local owner, default = unpack(redis.call('HMGET', prompt_key, 'owner', 'default'))
if not owner or (owner ~= asking and owner ~= '') then return {} end
if number == '' then number = default end
local content = redis.call('HGET', prompt_key, 'v:' .. number)
if not content then return {} end
return {number, owner, content}
