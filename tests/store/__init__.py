"""Records, keys, scripts and servers: the store."""
