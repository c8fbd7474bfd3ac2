-- Give a claim up.
--
-- KEYS[1]  claim of a username
-- ARGV     1 claim
--
-- Returns 1, or 0 when the claim is somebody else's or over.
if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[1])
return 1
