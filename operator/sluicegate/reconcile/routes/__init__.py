"""Which product owns which host and path. Pure."""
