"""The benchmark's own reading of wrk, /proc and nginx; nothing is timed here."""
