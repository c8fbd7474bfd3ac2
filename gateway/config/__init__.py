"""What config.yaml may say, and loading it with line-numbered faults."""
