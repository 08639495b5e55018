"""What is measured: one module a scenario, the same for every contender."""
