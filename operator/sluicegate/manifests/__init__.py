"""Kubernetes objects of a product: one pure builder a kind."""
