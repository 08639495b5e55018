"""A real OCI registry on loopback: the program of the cluster's registry image, run as it is."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests

from cluster.images import build, describe
from tests.support.processes.running import free_port, running
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {data}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextmanager
def loopback_registry(folder: Path) -> Iterator[str]:
    """Yield a registry with its data below `folder`; yields its host, such as 127.0.0.1:40123."""
    root = folder / "root"
    unpack(build(describe("registry")).archive, root)
    host = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(CONFIG.format(data=folder / "data", port=host.rpartition(":")[2]))
    loader = next((root / "lib64").glob("ld-linux-*"))
    libraries = ":".join(str(path.parent) for path in root.glob("lib/*/libc.so.6"))
    program = [str(root / "usr/bin/docker-registry"), "serve", str(config)]
    with running([str(loader), "--library-path", libraries, *program], log=folder / "registry.log"):
        eventually(lambda: answers(host), what=f"the registry at {host}")
        yield host


def answers(host: str) -> bool:
    """Return whether the registry accepts requests."""
    try:
        return requests.get(f"http://{host}/v2/", timeout=2).ok
    except requests.RequestException:
        return False


def unpack(archive: Path, into: Path) -> None:
    """Unpack the file system of an image in an OCI archive."""
    with tarfile.open(archive) as image:

        def blob(digest: str) -> bytes:
            content = image.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert content is not None
            return content.read()

        index = image.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as tree:
                tree.extractall(into, filter="fully_trusted")
