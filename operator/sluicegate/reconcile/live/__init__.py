"""What the API server holds, as slim immutable records. Pure."""
