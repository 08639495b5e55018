"""The commands of `sluicegate`, one module each in the room of their reader; they parse arguments, call, and print."""
