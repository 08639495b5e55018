"""Benchmarks: how the operator and its peers grow with the number of products."""
