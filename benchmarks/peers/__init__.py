"""Other progressive-delivery controllers, driven on the control plane that ours is driven on.

Each is built from its Go module (`cluster/versions.toml`), brings its custom resource definitions
from that module, and is measured twice: as it comes, and with its own flags for speed turned up.
"""
