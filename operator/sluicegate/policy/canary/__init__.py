"""How the candidate does, and what becomes of it."""
