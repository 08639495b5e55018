"""Policies tried on recorded or invented traffic, without a cluster."""
