"""The RFCs' rules, pure: no I/O, no clock, no randomness of its own (entropy and time are arguments)."""
