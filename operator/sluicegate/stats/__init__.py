"""Statistics on plain numbers: tests, intervals, change detectors, without any type of the API."""
