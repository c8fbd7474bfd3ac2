"""Metrics, access log and event log: known to all rooms, knowing none of them."""
