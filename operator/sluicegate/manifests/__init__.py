"""Kubernetes objects of a product: one pure builder for each kind."""
