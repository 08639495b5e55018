"""Other progressive-delivery controllers, on the same kind of control plane.

Each is built from its Go module (`cluster/versions.toml`), has its custom resource definitions from
that module, and is measured twice: with default flags, and with its own flags for speed.
"""
