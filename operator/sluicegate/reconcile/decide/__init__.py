"""From an observation to a plan. Pure."""
