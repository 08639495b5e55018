"""What one product must know of the others."""
