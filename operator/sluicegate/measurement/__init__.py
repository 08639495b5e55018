"""Blocks of all products, between Prometheus and the reconciler."""
