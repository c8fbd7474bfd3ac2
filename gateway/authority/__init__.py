"""The aiohttp application of the OAuth endpoints, one file an endpoint."""
