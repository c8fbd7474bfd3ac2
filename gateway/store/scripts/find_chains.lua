-- Read the chains of a client that can still be refreshed.
--
-- KEYS[1]  index of the client's live chains
-- ARGV     1 most chains (> 0), 2 chain prefix
--
-- Reads the chains under the prefix too (same hash tag).
-- Returns {chain id, chain (packed), ...}, those first that live longest.
local found = {}
for _, id in ipairs(redis.call("ZREVRANGEBYSCORE", KEYS[1], "+inf", "(" .. now_ms(), "LIMIT", 0, ARGV[1])) do
  local chain = redis.call("GET", ARGV[2] .. id)
  if chain then
    found[#found + 1], found[#found + 2] = id, chain
  end
end
return found
