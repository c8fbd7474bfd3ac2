"""The oracle: a plain aiohttp proxy that does what a right proxy does."""
