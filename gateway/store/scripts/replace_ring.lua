-- Replace the keys that sign JWT access tokens, unless somebody else did since they were read.
--
-- KEYS[1]  the keys
-- ARGV     1 as they were ("" none), 2 as they shall be, 3 how long they are kept (ms, > 0)
--
-- Returns 1 when they were replaced, 0 when something else was there.
if (redis.call("GET", KEYS[1]) or "") ~= ARGV[1] then
  return 0
end
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
return 1
