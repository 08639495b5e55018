"""Sluicegate: a Kubernetes operator that runs AI models as products."""
