"""Kind where no registry is reached: `python -m tests.kind [arguments of pytest]`.

Builds outside what the cluster needs, starts an engine in a network of its own, builds the node
image in it, and runs the tests there: kind's own, and those that both backends pass.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.addons.gateway import MODULE as GATEWAY_MODULE
from cluster.backend import BACKEND_VARIABLE, KIND
from cluster.builds import elapsed, module_folder, program
from cluster.cache import cache_folder
from cluster.commands import system_environment
from cluster.errors import ClusterError
from cluster.identity import CLUSTER_VARIABLE, Identity
from cluster.images import build, describe
from cluster.kind import NODE_IMAGE_VARIABLE
from tests.kind.engine import Engine, engine, may_raise_limits
from tests.kind.node_image import write_context

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/kind",
    *(f"tests/node/cluster/test_{name}.py" for name in ("node", "fetch", "addons")),
)
IMAGES = ("registry", "traefik", "prometheus", "runtime")
TAG = "sluicegate.local/kind-node:test"


def main(arguments: list[str]) -> int:
    """Pytest's exit code; 1 if it didn't get that far."""
    try:
        _build_outside()
        with engine() as own, _cluster() as name:
            _build_node_image(own)
            return subprocess.run(
                [*own.prefix, sys.executable, "-m", "pytest", *(arguments or TESTS)],
                cwd=REPOSITORY,
                env={
                    **system_environment(),
                    **own.environment,
                    BACKEND_VARIABLE: KIND,
                    CLUSTER_VARIABLE: name,
                    NODE_IMAGE_VARIABLE: TAG,
                },
                check=False,
            ).returncode
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


@contextlib.contextmanager
def _cluster() -> Iterator[str]:
    """The name of a cluster of our own: the checkout's may run as a local node meanwhile."""
    identity = Identity(f"kind-{os.getpid()}")
    try:
        yield identity.name
    finally:
        shutil.rmtree(identity.state, ignore_errors=True)


def _build_outside() -> None:
    """What asks for modules, packages or wheels: the engine's network has no way out."""
    program("kind")
    module_folder(GATEWAY_MODULE)
    for name in IMAGES:
        build(describe(name))


def _build_node_image(own: Engine) -> None:
    started = time.monotonic()
    print("building the node image …", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="kind-node-", dir=cache_folder()) as folder:
        write_context(Path(folder), restricted=not may_raise_limits())
        own.run("docker", "build", "--network=none", f"--tag={TAG}", folder)
    took = elapsed(time.monotonic() - started)
    print(f"built the node image in {took}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.umask(0o022)  # modes in the image are those of the files
    raise SystemExit(main(sys.argv[1:]))
