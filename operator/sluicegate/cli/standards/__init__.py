"""Commands that write and read the formats of published standards."""
