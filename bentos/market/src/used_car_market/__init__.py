"""A synthetic market of used cars in six European countries."""
