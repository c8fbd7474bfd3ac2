-- End a chain and its access tokens if it is the client's.
--
-- KEYS[1]  chain
-- KEYS[2]  index of the client's live chains
-- ARGV     1 client id (short), 2 chain id, 3 token prefix
--
-- Touches the chain's access tokens under the prefix too (same hash tag).
-- Returns 1 when it was ended, 0 when there is none or it is another client's.
local chain = read("chain", KEYS[1])
if not chain or chain.c ~= ARGV[1] then
  return 0
end
end_chain(KEYS[1], ARGV[2], chain, KEYS[2], ARGV[3])
return 1
