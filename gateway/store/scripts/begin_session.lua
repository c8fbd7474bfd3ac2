-- Write a new session.
--
-- KEYS[1]  session
-- ARGV     1 session (packed), 2 idle life (ms, > 0), 3 life (ms, > 0)
--
-- It gets the store's time.  Returns 1.
local session = cmsgpack.unpack(ARGV[1])
session.i = now_ms()
session.t = session.i
redis.call("SET", KEYS[1], cmsgpack.pack(session), "PX", math.min(tonumber(ARGV[2]), tonumber(ARGV[3])))
return 1
