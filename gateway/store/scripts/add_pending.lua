-- Note a client that waits for the operator.
--
-- KEYS[1]  who waits, a sorted set by time
-- ARGV     1 client id, 2 most that may wait (> 0), 3 how long one may (ms, 0 for ever)
--
-- Who waited longer is gone by itself, and is forgotten here.
-- Returns 1, or 0 when that many wait already.
local now, life = now_ms(), tonumber(ARGV[3])
if life > 0 then
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now - life)
end
if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then
  return 0
end
redis.call("ZADD", KEYS[1], now, ARGV[1])
return 1
