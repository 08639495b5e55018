"""One idempotent pass for one product: observe, decide, build, record the status, apply."""
