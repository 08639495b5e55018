"""Scenarios: one module each, the same for every contender."""
