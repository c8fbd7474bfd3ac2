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

-- A key lives till then, or till a time of its own that is earlier; 0 is never.
local function keep(key, own)
  local ends = (own > 0 and (till == 0 or own < till)) and own or till
  if ends > 0 then
    redis.call("PEXPIREAT", key, ends)
  else
    redis.call("PERSIST", key)
  end
end

keep(KEYS[1], 0)
keep(KEYS[2], 0)
for _, client_key in ipairs(client.k) do
  local key = ARGV[1] .. client_key
  local credential = read("credential", key)
  if credential then
    keep(key, credential.x)
    keep(ARGV[2] .. credential.d, credential.x)
  end
end
return 1
