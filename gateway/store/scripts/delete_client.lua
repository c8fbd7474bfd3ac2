-- Delete a client with its credentials.  Its tokens are dead without it; their records go when their time comes.
--
-- KEYS[1]  client
-- KEYS[2]  index of its live chains
-- KEYS[3]  its registration, if it has one
-- KEYS[4]  count of its access tokens
-- ARGV     1 credential prefix, 2 last-use prefix, 3 prefix of what leads from a secret to its credential
--
-- Touches the keys under the prefixes too (same hash tag).
-- Returns 1, or 0 when there was none.
local client = read("client", KEYS[1])
if not client then
  return 0
end
redis.call("DEL", KEYS[1], KEYS[2], KEYS[3], KEYS[4])
for _, client_key in ipairs(client.k) do
  forget_secret(ARGV[1] .. client_key, ARGV[3])
  redis.call("DEL", ARGV[1] .. client_key, ARGV[2] .. client_key)
end
return 1
