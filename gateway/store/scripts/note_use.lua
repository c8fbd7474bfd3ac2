-- Note that a credential is used, for something else than a token.
--
-- KEYS[1]  last use of the credential
-- ARGV     1 mark of the source
--
-- Returns 1.
store_last_use(KEYS[1], now_ms(), ARGV[1])
return 1
