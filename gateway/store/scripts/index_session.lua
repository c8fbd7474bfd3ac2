-- Note a session as one of its account's, whose oldest ones give way.
--
-- KEYS[1]  index of the account's sessions
-- ARGV     1 digest of the session, 2 life (ms, > 0), 3 most sessions (> 0)
--
-- Returns the digests of those that gave way.
local now, life = now_ms(), tonumber(ARGV[2])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now - life)
redis.call("ZADD", KEYS[1], now, ARGV[1])
local gone = {}
local surplus = redis.call("ZCARD", KEYS[1]) - tonumber(ARGV[3])
if surplus > 0 then
  local oldest = redis.call("ZPOPMIN", KEYS[1], surplus)
  for i = 1, #oldest, 2 do
    gone[#gone + 1] = oldest[i]
  end
end
if redis.call("PTTL", KEYS[1]) < life then
  redis.call("PEXPIRE", KEYS[1], life)
end
return gone
