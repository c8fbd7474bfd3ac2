"""Which target a request goes to, and the connections there: chosen, kept, bounded."""
