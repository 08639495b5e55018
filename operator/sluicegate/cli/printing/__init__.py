"""How commands print: tables, colours, and the formats of `--output`."""
