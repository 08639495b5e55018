"""Everything that people read: conditions, events, status, metrics."""
