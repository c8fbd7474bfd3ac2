-- End all that rests on a consent: its chains with their access tokens, and codes that were not exchanged yet.
--
-- KEYS[1]  consent
-- KEYS[2]  index of the client's live chains (the subject is appended)
-- ARGV     1 subject, 2 whether to forget the consent too ("1" / "0"), 3 chain prefix, 4 token prefix
--
-- Touches the chains and access tokens under the prefixes too (same hash tag).
-- Returns 1, or 0 when there was no consent and no chain.
local consent = read("consent", KEYS[1])
if consent and ARGV[2] == "1" then
  redis.call("DEL", KEYS[1])
elseif consent then
  consent.e = math.max(consent.e + 1, now_us())
  write(KEYS[1], consent)
end
local index = KEYS[2] .. ":" .. ARGV[1]
local begun = redis.call("ZRANGE", index, 0, -1)
for _, chain_id in ipairs(begun) do
  local chain = read("chain", ARGV[3] .. chain_id)
  if chain then
    end_chain(ARGV[3] .. chain_id, chain_id, chain, KEYS[2], ARGV[4])
  end
end
redis.call("DEL", index)
return (consent or #begun > 0) and 1 or 0
