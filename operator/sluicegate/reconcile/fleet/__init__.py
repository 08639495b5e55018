"""State of other products that decisions on one need."""
