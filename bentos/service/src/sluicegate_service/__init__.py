"""Library for model services that Sluicegate observes; it needs no part of the operator."""
