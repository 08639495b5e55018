"""How the candidate does: its evidence, and the verdict on it."""
