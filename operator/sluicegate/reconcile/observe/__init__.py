"""Everything that is read for one product."""
