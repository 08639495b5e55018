"""Numbers only: tests, intervals, change detectors; nothing here knows a product."""
