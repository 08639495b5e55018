"""Service levels as counts of bad and total events per block, and their statistics."""
