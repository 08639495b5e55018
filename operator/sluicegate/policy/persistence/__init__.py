"""What survives a restart: read from status, and written to it."""
