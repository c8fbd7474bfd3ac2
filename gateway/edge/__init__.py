"""bytes ↔ messages: the data plane."""
