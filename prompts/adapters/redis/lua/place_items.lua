-- Say where staged items are, unless their response has been taken from its run, or has ended: then others say it.
--
-- RETURNS 1; the same call again changes nothing | 0 the run is stale
assert(#KEYS == 1 and #ARGV == 4)
local response_key = KEYS[1] -- hash; that of the timeline, when no response brings the items
local prefix = ARGV[1] -- of the partition's keys
local epoch = ARGV[2] -- of the run; "": no response
local timeline = ARGV[3]
local places = cjson.decode(ARGV[4]) -- array of {item id, position}

if epoch ~= '' then
  local found_epoch, status = unpack(redis.call('HMGET', response_key, 'epoch', 'status'))
  if found_epoch ~= epoch or status ~= 'in_progress' then return 0 end
end
for _, place in ipairs(places) do redis.call('SET', prefix .. 'item:' .. place[1], timeline .. ' ' .. place[2]) end
return 1
