"""How the stable version does, SLO by SLO."""
