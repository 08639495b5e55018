"""One idempotent step for one product: observe, decide, build, apply, report."""
