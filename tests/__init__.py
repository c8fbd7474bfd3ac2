"""The whole of the gateway's tests."""
