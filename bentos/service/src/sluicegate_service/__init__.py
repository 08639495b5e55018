"""What a model service needs to be watched by Sluicegate; it needs no part of the operator."""
