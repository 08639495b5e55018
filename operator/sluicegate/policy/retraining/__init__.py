"""Whether a product may be retrained, and whether the result may have traffic."""
