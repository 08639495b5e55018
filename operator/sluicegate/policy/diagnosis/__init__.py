"""The cause of a degradation, and its remedy."""
