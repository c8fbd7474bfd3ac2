-- End a chain and its access tokens, whoever's it is: one of its refresh tokens was found where it should not be.
--
-- KEYS[1]  chain
-- ARGV     1 chain id, 2 digest of the token found, 3 prefix of the indexes of live chains up to what the record keeps of a
--          client id, 4 token prefix
--
-- Touches the keys under the prefixes too (same hash tag).
-- Returns the client id (short) when it was ended, or false when there is none or the token is neither its present nor its
-- last refresh token: who knows a chain's id alone can't end it.
local chain = read("chain", KEYS[1])
if not chain or (ARGV[2] ~= chain.d and ARGV[2] ~= chain.p) then
  return false
end
end_chain(KEYS[1], ARGV[1], chain, ARGV[3] .. chain.c, ARGV[4])
return chain.c
