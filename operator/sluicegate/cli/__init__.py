"""The commands of `sluicegate`, one module each in the room of their reader.

They parse arguments, call, and print.
"""
