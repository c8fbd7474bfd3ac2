-- Write a new client with its first credential.
--
-- KEYS[1]  client
-- KEYS[2]  credential
-- KEYS[3]  what leads from its secret to it
-- ARGV     1 client (packed), 2 credential (packed), 3 life unless kept (ms, 0 for ever)
--
-- Where a record has no time of issue, it gets the store's.  Returns 1.
local client, credential = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[2])
local now, life = now_ms(), tonumber(ARGV[3])

if client.i == 0 then
  client.i = now
end
if credential.i == 0 then
  credential.i = now
end
if not position(client.k, credential.k) then
  table.insert(client.k, credential.k)
end
redis.call("SET", KEYS[1], cmsgpack.pack(client))
redis.call("SET", KEYS[2], cmsgpack.pack(credential))
redis.call("SET", KEYS[3], credential.k)
if credential.x > 0 then
  redis.call("PEXPIREAT", KEYS[2], credential.x)
  redis.call("PEXPIREAT", KEYS[3], credential.x)
end
if life > 0 then
  for _, key in ipairs(KEYS) do
    redis.call("PEXPIRE", key, life)
  end
end
return 1
