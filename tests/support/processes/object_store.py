"""An S3 on loopback: moto's server, in an environment of its own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from tests.support.processes.running import start, stop
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIREMENTS = Path(__file__).resolve().parents[1] / "s3" / "requirements.txt"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "tests",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def object_store(port: int, bucket: str, log: Path) -> Iterator[str]:
    """Start it with a bucket; yield its address."""
    url = f"http://127.0.0.1:{port}"
    process = start(
        [
            *(sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--isolated"),
            *("--with-requirements", str(REQUIREMENTS)),
            *("moto_server", "--host", "127.0.0.1", "--port", str(port)),
        ],
        log=log,
        env={},
    )
    try:
        eventually(lambda: _created(url, bucket), seconds=300, what="the S3 on loopback")
        yield url
    finally:
        stop(process)


def _created(url: str, bucket: str) -> bool:
    try:
        return requests.put(f"{url}/{bucket}", timeout=5).ok
    except requests.RequestException:
        return False
