"""Output of commands: tables, colours, and the formats of `--output`."""
