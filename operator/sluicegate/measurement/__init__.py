"""Blocks of all products: read from Prometheus, kept for the reconciler."""
