"""What can go wrong while an image is described or built."""

from cluster.errors import ClusterError


class ImageError(ClusterError):
    """An image can't be built; the message names what is wrong and the way out."""
