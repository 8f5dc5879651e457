-- The time in ms: Redis's own, so that replicas with different clocks agree.
local function read_clock_ms()
  local clock = redis.call('TIME')
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

