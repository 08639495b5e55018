"""`sluicegate pack BENTO REF`: make a bento an OCI image and push it."""

import argparse
from pathlib import Path

from sluicegate.errors import SluicegateError
from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.push import PushError, pack_and_push


class PackFailed(SluicegateError):  # noqa: N818  # says what is the case
    """The bento isn't in the registry; the message names the reference and the way out."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "bento", type=Path, help="folder or .bento file, as `bentoml export` writes"
    )
    parser.add_argument("reference", metavar="REF", help="HOST/PATH or HOST/PATH:TAG to push to")
    parser.add_argument(
        "--plain-http",
        action="store_true",
        default=None,
        help="speak HTTP without TLS (default: only with the hosts in"
        " SLUICEGATE_PLAIN_HTTP_REGISTRIES)",
    )


def run(args: argparse.Namespace) -> int:
    """Push, and print the reference by digest: what a DataProduct's model.bento.image takes."""
    try:
        print(pack_and_push(args.bento, args.reference, plain_http=args.plain_http))
    except (BentoInvalid, PushError) as error:
        raise PackFailed(str(error)) from error
    return 0
