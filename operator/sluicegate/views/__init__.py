"""What people read of one product, from one place: what it shows and needs, and words and numbers for it. Pure."""
