"""What people read of one product, from one place: its needs, and words and numbers for it. Pure."""
