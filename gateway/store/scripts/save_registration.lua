-- Write what a client registered of itself, for as long as the client lives.
--
-- KEYS[1]  client
-- KEYS[2]  registration
-- ARGV     1 registration (packed)
--
-- Returns 1, or 0 when the client is gone, or when its registration access token has ended meanwhile: an update that was let in
-- before may not bring it back to life.
if redis.call("EXISTS", KEYS[1]) == 0 then
  return 0
end
local known, saved = read("registration", KEYS[2]), cmsgpack.unpack(ARGV[1])
if known and known.t ~= saved.t and saved.t ~= "" then
  return 0
end
redis.call("SET", KEYS[2], ARGV[1])
local life = redis.call("PTTL", KEYS[1]) -- that of a provisional client, else negative
if life > 0 then
  redis.call("PEXPIRE", KEYS[2], life)
end
return 1
