-- Reserve a free username for a moment.
--
-- KEYS[1]  account
-- KEYS[2]  claim of its name
-- ARGV     1 claim, 2 how long it holds (ms)
--
-- Returns 1 (again for the same claim), or 0 when the name is an account or claimed by somebody else.
local holder = redis.call("GET", KEYS[2])
if redis.call("EXISTS", KEYS[1]) == 1 or (holder and holder ~= ARGV[1]) then
  return 0
end
redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
return 1
