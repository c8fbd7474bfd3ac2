-- End an access token if it is the client's.
--
-- KEYS[1]  access token
-- ARGV     1 client id (short), 2 its digest, 3 chain prefix
--
-- Touches the token's chain under the prefix too (same hash tag).
-- Returns 1 when it was ended, 0 when there is none or it is another client's.
local token = read("token", KEYS[1])
if not token or token.c ~= ARGV[1] then
  return 0
end
redis.call("DEL", KEYS[1])

local chain = token.h ~= "" and read("chain", ARGV[3] .. token.h)
local at = chain and position(chain.a, ARGV[2])
if at then
  if at == #chain.a - 1 then
    chain.y = chain.y and 0 -- the latest one: a repeated refresh must not promise it any more life
  end
  table.remove(chain.a, at)
  table.remove(chain.a, at)
  store_chain(ARGV[3] .. token.h, chain, now_ms())
end
return 1
