"""A real Prometheus for the length of a block, and what it answers at this moment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
import yaml

from tests.support.processes.running import free_port, running
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def prometheus(program: Path, folder: Path, config: object, *options: str) -> Iterator[str]:
    """Yield the URL of a Prometheus with this configuration, once it is ready.

    Its data is in `tsdb`.
    """
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        str(program), f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={url.removeprefix('http://')}", *options,
    ]  # fmt: skip
    with running(command, log=folder / "prometheus.log"):
        eventually(lambda: is_ready(url), seconds=60, what="Prometheus to be ready")
        yield url


def rows(url: str, query: str) -> list[dict[str, Any]]:
    """Return the result of a query now."""
    answer = requests.get(f"{url}/api/v1/query", {"query": query}, timeout=30)
    assert answer.ok, answer.text
    result: list[dict[str, Any]] = answer.json()["data"]["result"]
    return result


def is_ready(url: str) -> bool:
    """Return whether a Prometheus or an Alertmanager is ready for requests."""
    try:
        return requests.get(f"{url}/-/ready", timeout=5).ok
    except requests.RequestException:
        return False
