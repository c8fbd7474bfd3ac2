"""Connections of clients: taken in, counted by address, shared out among the workers."""
