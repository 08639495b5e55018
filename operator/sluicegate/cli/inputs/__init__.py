"""Inputs of commands: files of products and bentos, names of objects, a cluster."""
