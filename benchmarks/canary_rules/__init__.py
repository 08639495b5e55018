"""The operator's canary rule beside those of other tools, on simulated traffic."""
