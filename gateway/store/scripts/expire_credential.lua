-- Say when a credential ends by itself; what was issued with it lives on, as after a retirement without its tokens.
--
-- KEYS[1]  client
-- KEYS[2]  credential
-- ARGV     1 client key, 2 from now (ms; 0: never), 3 prefix of what leads from a secret to its credential
--
-- Touches a key under the prefix too (same hash tag).
-- Returns the credential as it is now (packed), or false when the client is gone or the credential is not its own.
local client = read("client", KEYS[1])
local credential = client and position(client.k, ARGV[1]) and read("credential", KEYS[2])
if not credential then
  return false
end
local span = tonumber(ARGV[2])
credential.x = span > 0 and now_ms() + span or 0
write(KEYS[2], credential)
end_with_client(KEYS[1], credential.x, { KEYS[2], ARGV[3] .. credential.d })
return redis.call("GET", KEYS[2])
