"""Everything that writes children."""
