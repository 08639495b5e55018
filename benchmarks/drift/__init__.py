"""Drift benchmark: the whole operator in a closed loop on streams with drift, beside detectors of river."""
