-- Keep a client with its credentials: for ever, or for a while until it is used.
--
-- KEYS[1]  client
-- KEYS[2]  its registration, if it has one
-- ARGV     1 credential prefix, 2 prefix of what leads from a secret to its credential, 3 life (ms, 0 for ever)
--
-- Touches the keys under the prefixes too (same hash tag).
-- Returns 1, or 0 when the client has vanished.
local client = read("client", KEYS[1])
if not client then
  return 0
end
local life = tonumber(ARGV[3])
local till = life > 0 and now_ms() + life or 0

end_at({ KEYS[1], KEYS[2] }, 0, till)
for _, client_key in ipairs(client.k) do
  local key = ARGV[1] .. client_key
  local credential = read("credential", key)
  if credential then
    end_at({ key, ARGV[2] .. credential.d }, credential.x, till)
  end
end
return 1
