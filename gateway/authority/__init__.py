"""The aiohttp application of the gateway's own endpoints, one file an endpoint; the edge reaches it in memory."""
