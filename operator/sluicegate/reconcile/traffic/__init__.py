"""Replicas and weights of the versions. Pure."""
