"""Evaluation of policies on recorded or simulated traffic, without a cluster."""
