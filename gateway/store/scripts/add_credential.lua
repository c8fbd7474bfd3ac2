-- Add a credential to its client.
--
-- KEYS[1]  client
-- KEYS[2]  credential
-- KEYS[3]  what leads from its secret to it
-- ARGV     1 credential (packed), 2 most credentials (> 0), 3 credential prefix, 4 longest life of a token (ms),
--          5 most credentials that are remembered as retired (> 0)
--
-- Reads the client's other credentials under the prefix too (same hash tag); those whose time has come don't count.
-- Returns 1 (again for the same client key), or 0 when the client is gone or has that many already: to forget a retired one
-- while its tokens may live would revive them, so the record may not grow without bound either.
local client = read("client", KEYS[1])
if not client then
  return 0
end
local credential = cmsgpack.unpack(ARGV[1])
if position(client.k, credential.k) then
  return 1
end
local live = {}
for _, client_key in ipairs(client.k) do
  if redis.call("EXISTS", ARGV[3] .. client_key) == 1 then
    live[#live + 1] = client_key
  end
end
local oldest, remembered = now_ms() - tonumber(ARGV[4]), 0
for _, times in ipairs({ client.r, client.g or {} }) do
  for _ in pairs(younger(times, oldest)) do
    remembered = remembered + 1
  end
end
if #live >= tonumber(ARGV[2]) or remembered >= tonumber(ARGV[5]) then
  return 0
end

if credential.i == 0 then
  credential.i = now_ms()
end
live[#live + 1] = credential.k
client.k = live
write(KEYS[1], client)
redis.call("SET", KEYS[2], cmsgpack.pack(credential))
redis.call("SET", KEYS[3], credential.k)
end_with_client(KEYS[1], credential.x, { KEYS[2], KEYS[3] })
return 1
