"""Kind where no registry is reached: `python -m tests.kind [arguments of pytest]`.

Builds outside what the cluster needs, and images that ask for packages in an engine that has the
machine's network. Then it starts one in a network of its own, on the same images, builds the node
image in it, and runs the tests there: first the whole demonstration, as a person without the rights
of root sees it, then kind's own tests, and those that both backends pass.
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
from tests.kind.engine import Engine, empty_store, engine, may_raise_limits
from tests.kind.laptop import DOCKER_GROUP, HOME_VARIABLE, Laptop, make_laptop
from tests.kind.node_image import write_context
from tests.kind.stand_ins import make_stand_ins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = ("tests/kind/test_demo.py",)
"""Alone, as it would be on a person's machine: the others start clusters of their own beside it."""
TESTS = (
    "tests/kind/test_lifecycle.py",
    *(f"tests/node/cluster/test_{name}.py" for name in ("node", "fetch", "addons")),
)
IMAGES = ("registry", "traefik", "prometheus", "operator", "runtime")
TAG = "sluicegate.local/kind-node:test"


def main(arguments: list[str]) -> int:
    """Return pytest's exit code; 1 if it didn't get that far."""
    try:
        _build_outside()
        with (
            empty_store() as store,
            tempfile.TemporaryDirectory(prefix="sluicegate-laptop-") as home,
            _cluster() as name,
        ):
            with engine(store, group=DOCKER_GROUP, reaches_registries=True) as own:
                make_stand_ins(own)
                laptop = _build_with_packages(own, Path(home))
                _build_node_image(own)
            with engine(store, group=DOCKER_GROUP) as own:
                runs = [arguments] if arguments else [DEMO, TESTS]
                return max([_run_tests(own, tests, name, laptop) for tests in runs])
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run_tests(own: Engine, tests: Sequence[str], cluster: str, laptop: Laptop) -> int:
    return subprocess.run(
        [*own.prefix, sys.executable, "-m", "pytest", *tests],
        cwd=REPOSITORY,
        env={
            **system_environment(),
            **own.environment,
            BACKEND_VARIABLE: KIND,
            CLUSTER_VARIABLE: cluster,
            NODE_IMAGE_VARIABLE: TAG,
            HOME_VARIABLE: str(laptop.home),
        },
        check=False,
    ).returncode


def _build_with_packages(own: Engine, home: Path) -> Laptop:
    """Return what needs Debian's and Python's packages: a laptop, its environment, and its images.

    The demonstration finds each step of the images' build in the engine's cache, since it is the
    same Dockerfile on the same files.
    """
    with _told("a laptop and its images"):
        laptop = make_laptop(home, own)
        build = ("docker", "build", "--network=host", "--target=operator", ".")
        for command in (("make", "setup"), build):
            done = laptop.run(*command, **own.environment)
            if done.returncode:
                raise ClusterError(f"`{' '.join(command)}` failed: {done.stdout}")
    return laptop


@contextlib.contextmanager
def _cluster() -> Iterator[str]:
    """Yield the name of a cluster of our own: the checkout's may run as a local node meanwhile."""
    identity = Identity(f"kind-{os.getpid()}")
    try:
        yield identity.name
    finally:
        shutil.rmtree(identity.state, ignore_errors=True)


def _build_outside() -> None:
    """Build outside what needs modules, packages or wheels, as the engine's network has no way out."""
    program("kind")
    program("helm")
    module_folder(GATEWAY_MODULE)
    for name in IMAGES:
        build(describe(name))


def _build_node_image(own: Engine) -> None:
    with (
        _told("the node image"),
        tempfile.TemporaryDirectory(prefix="kind-node-", dir=cache_folder()) as folder,
    ):
        write_context(Path(folder), restricted=not may_raise_limits())
        own.run("docker", "build", "--network=host", f"--tag={TAG}", folder)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    started = time.monotonic()
    print(f"building {what} …", file=sys.stderr, flush=True)
    yield
    took = elapsed(time.monotonic() - started)
    print(f"built {what} in {took}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.umask(0o022)  # modes in the image are those of the files
    raise SystemExit(main(sys.argv[1:]))
