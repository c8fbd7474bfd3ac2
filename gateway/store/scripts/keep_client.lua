-- Make a provisional client permanent, its credentials too.
--
-- KEYS[1]  client
-- KEYS[2]  its registration, if it has one
-- ARGV     1 credential prefix, 2 prefix of what leads from a secret to its credential
--
-- Touches the keys under the prefixes too (same hash tag).
-- Returns 1, or 0 when the client has vanished.
local client = read("client", KEYS[1])
if not client then
  return 0
end
redis.call("PERSIST", KEYS[1])
redis.call("PERSIST", KEYS[2])
for _, client_key in ipairs(client.k) do
  local key = ARGV[1] .. client_key
  local credential = read("credential", key)
  local secret = credential and ARGV[2] .. credential.d
  if credential and credential.x > 0 then
    redis.call("PEXPIREAT", key, credential.x)
    redis.call("PEXPIREAT", secret, credential.x)
  elseif credential then
    redis.call("PERSIST", key)
    redis.call("PERSIST", secret)
  end
end
return 1
