-- Give a use of an initial access token back: nothing was registered with it.
--
-- KEYS[1]  uses that it has left
--
-- Returns 1, or 0 when it is over.
if redis.call("EXISTS", KEYS[1]) == 0 then
  return 0
end
redis.call("INCR", KEYS[1])
return 1
