-- Count a client that registers itself, or note how long it stays.
--
-- KEYS[1]  who registered, a sorted set by the time at which each vanishes
-- ARGV     1 client id, 2 how long it stays from now (ms, 0 for ever), 3 most that may be there (0: only note it, if it counts)
--
-- Who has vanished by itself is forgotten here.
-- Returns 1 (again for the same client), or 0 when that many are there already, or it does not count.
local now, life, most = now_ms(), tonumber(ARGV[2]), tonumber(ARGV[3])
local counted = redis.call("ZSCORE", KEYS[1], ARGV[1])
if not counted then
  if most == 0 then
    return 0
  end
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
  if redis.call("ZCARD", KEYS[1]) >= most then
    return 0
  end
end
redis.call("ZADD", KEYS[1], life > 0 and now + life or "+inf", ARGV[1])
local last = tonumber(redis.call("ZRANGE", KEYS[1], -1, -1, "WITHSCORES")[2])
if last == math.huge then
  redis.call("PERSIST", KEYS[1])
else
  redis.call("PEXPIREAT", KEYS[1], last)
end
return 1
