"""What people read of a product: its numbers, words, facts and needs. Pure."""
