"""The commands of `sluicegate`, one module each; they parse arguments, call, and print."""
