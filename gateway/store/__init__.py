"""Redis/Valkey behind the ports of guard and oauth."""
