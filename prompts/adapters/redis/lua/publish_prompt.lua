-- Publish a template, or some of its versions ahead of the rest: without an owner it stays as it was for all who ask.
--
-- RETURNS 1 it is published as it is here, or newer, or it was withdrawn meanwhile | 0 it lacks other versions;
--         the same call again the same
assert(#KEYS == 3 and #ARGV == 8)
local prompt_key = KEYS[1] -- hash
local published_key = KEYS[2] -- hash: template → revision
local withdrawn_key = KEYS[3] -- string
local prompt_id = ARGV[1]
local revision = tonumber(ARGV[2])
local packed_versions = ARGV[3] -- JSON array: number, content (JSON), number, content …
local owner = ARGV[4] -- "" is everybody
local default = ARGV[5] -- number of a version
local is_last = ARGV[6] == '1' -- whether all its versions are there with this call
local wrong_revision = tonumber(ARGV[7]) -- a later one that is published and that SQL does not have; 0: none
local is_whole = ARGV[8] == '1' -- false: these are the versions that the latest change has made

if redis.call('EXISTS', withdrawn_key) == 1 then return 1 end
local published = tonumber(redis.call('HGET', published_key, prompt_id) or 0)
if published > revision and published == wrong_revision then
  redis.call('UNLINK', prompt_key)
  redis.call('HDEL', published_key, prompt_id)
  published = 0
end
if not is_whole and published < revision - 1 then return 0 end
local versions = cjson.decode(packed_versions)
for place = 1, #versions, 2 do
  redis.call('HSET', prompt_key, 'v:' .. versions[place], versions[place + 1])
end
if not is_last then return 1 end
if published <= revision then
  redis.call('HSET', prompt_key, 'owner', owner, 'default', default)
  redis.call('HSET', published_key, prompt_id, revision)
end
return 1
