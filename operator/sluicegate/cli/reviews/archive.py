"""`sluicegate archive`: copy sealed reviews to a folder or a bucket, as a CronJob of the chart does."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.errors import MissingExtra, invalid
from sluicegate.reviews.archive import BUCKETS, Archive, Archived, ArchivePlace, Bucket, Folder
from sluicegate.reviews.store import ReviewStore

FIELD_MANAGER = "sluicegate-archive"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--to", required=True,
        help="a folder that is there, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX",
    )  # fmt: skip
    parser.add_argument(
        "--namespace", "-n", dest="namespaces", action="append", default=[],
        help="of these namespaces' products; may be given several times; all when left out",
    )  # fmt: skip
    add_access(parser, namespace=False)
    parser.epilog = (
        "Uses the kubeconfig as kubectl does, in a pod its service account. Buckets need the extra"
        " `archive`, and credentials in the variables that their provider's tools read."
    )


def run(args: argparse.Namespace) -> int:
    """Copy new sealed reviews; return 1 if one can't be copied."""
    place = place_of(args.to)
    copied = asyncio.run(_copy(place, tuple(args.namespaces)))
    print(
        f"{copied.written} reviews written to {args.to}, {copied.there} were there, {copied.refused} refused"
    )
    return 1 if copied.refused else 0


def place_of(text: str) -> ArchivePlace:
    """Return the folder or bucket of an argument.

    Raises
    ------
    InvalidInput
        There is no such folder, or the text is no address of a bucket.
    """
    scheme = urlsplit(text).scheme
    if scheme in BUCKETS and urlsplit(text).netloc:
        try:
            import obstore  # noqa: F401, PLC0415 - an extra
        except ImportError as error:
            raise MissingExtra("a bucket needs obstore: install sluicegate[archive]") from error
        return Bucket(text)
    if "://" in text:
        schemes = ", ".join(f"{scheme}://" for scheme in BUCKETS)
        raise invalid("to", f'is "{text}": write a folder, or a bucket by {schemes} and its name')
    folder = Path(text)
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise invalid("to", f"{text} is no folder that can be written to: make it")
    return Folder(folder)


async def _copy(place: ArchivePlace, namespaces: tuple[str, ...]) -> Archived:
    async with kube_api(FIELD_MANAGER) as api:
        archive = Archive(ReviewStore(api), place, lambda text: print(text, file=sys.stderr))
        return await archive.copy(namespaces)
