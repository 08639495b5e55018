"""Stories of the whole operator on virtual time, which is in `benchmarks.virtual`."""
