-- Use an initial access token once.
--
-- KEYS[1]  uses that it has left
--
-- Returns 1, or 0 when it has none left or is over.
local left = tonumber(redis.call("GET", KEYS[1]) or "0")
if left <= 0 then
  return 0
end
redis.call("DECR", KEYS[1])
return 1
