"""What stands in deploy/, the Dockerfile included."""
