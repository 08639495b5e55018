"""The client of Prometheus, and the blocks read from it; no other package queries Prometheus."""
