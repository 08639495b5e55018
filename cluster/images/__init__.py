"""OCI images without a container engine.

An image is a small TOML file beside this module. `build` turns it into an OCI archive
that containerd imports; the Dockerfile at the root of the repository describes the same images
for an engine, and a test compares both.
"""

from cluster.images.build import BuiltImage, build
from cluster.images.description import ImageDescription, describe, image_names
from cluster.images.errors import ImageError

__all__ = ["BuiltImage", "ImageDescription", "ImageError", "build", "describe", "image_names"]
