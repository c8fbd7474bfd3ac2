-- Read a session, and note that it was used: once a minute, or in a tenth of its idle life where that is less.
--
-- KEYS[1]  session
-- ARGV     1 idle life (ms, > 0), 2 life (ms, > 0)
--
-- What was ended meanwhile stays ended, and a life that was shortened holds for those that began before.
-- Returns the session (packed), or false when there is none or its time has come.
local session = read("session", KEYS[1])
if not session then
  return false
end
local now, idle = now_ms(), tonumber(ARGV[1])
local left = session.i + tonumber(ARGV[2]) - now
if left <= 0 or now - session.t >= idle then
  redis.call("DEL", KEYS[1])
  return false
end
if now - session.t >= math.min(60000, idle / 10) then
  session.t = now
  redis.call("SET", KEYS[1], cmsgpack.pack(session), "PX", math.min(idle, left))
end
return cmsgpack.pack(session)
