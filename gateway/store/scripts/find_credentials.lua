-- Read a client with all its credentials that live.
--
-- KEYS[1]  client
-- ARGV     1 credential prefix
--
-- Reads the credentials under the prefix too (same hash tag).
-- Returns {client, credential, ...}, all packed, oldest first, or false when there is no such client.
local client = read("client", KEYS[1])
if not client then
  return false
end
local found = { redis.call("GET", KEYS[1]) }
for _, client_key in ipairs(client.k) do
  local credential = redis.call("GET", ARGV[1] .. client_key)
  if credential then
    found[#found + 1] = credential
  end
end
return found
