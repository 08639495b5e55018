"""What a first start has to pull and to build on this machine, told before it begins."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cluster.backend import KIND
from cluster.builds import build_all, is_built
from cluster.cache import cache_folder
from cluster.engine import has_image, was_built
from cluster.kind import node_image
from cluster.local import built_image
from cluster.prerequisites import require_node_prerequisites
from cluster.toolchain import IMAGE as GO_IMAGE
from cluster.toolchain import runs_in_container
from cluster.tools import LEAST, on_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cluster.backend import Backend


@dataclass(frozen=True, slots=True)
class Work:
    """Something to make once: `megabytes` over the network, `seconds` of two idle cores.

    A pull has no seconds: they depend on the line.
    """

    what: str
    megabytes: int
    seconds: int = 0


# Measured cold on two cores: eight minutes for all of them and the images, made beside each other and
# after Kubernetes, whose packages most of them share; and the zips of the Go modules that go in.
PROGRAMS: Final = {
    "kube": Work("Kubernetes, compiled", 105, 205),
    "etcd": Work("etcd, compiled", 75, 25),
    "containerd": Work("containerd, compiled", 155, 35),
    "containerd-shim-runc-v2": Work("containerd's shim, compiled", 0, 5),
    "ctr": Work("containerd's client, compiled", 0, 5),
    "coredns": Work("CoreDNS, compiled", 45, 15),
    "prometheus": Work("Prometheus, compiled", 185, 55),
}
TOOLS: Final = {
    "kind": Work("kind, compiled (put v0.33 on PATH to avoid it)", 5, 30),
    "helm": Work("Helm, compiled (put v4 on PATH to avoid it)", 140, 90),
    # Elsewhere than on Linux, where the node's own runs.
    "kubectl": Work(
        "kubectl, compiled (put v{}.{} on PATH to avoid it)".format(*LEAST["kubectl"]), 100, 90
    ),
}
# Compressed sizes of images, of packages and of wheels.
GO: Final = Work(f"{GO_IMAGE}, to compile with", 300)
PUBLISHED: Final = Work("images of Prometheus, Traefik and the registry", 200)
DOCKERFILE: Final = Work("images of the operator and the runtime, by docker build", 400, 180)
MADE: Final = {
    "operator": Work("image of the operator", 60, 15),
    "runtime": Work("image of the runtime", 300, 40),
    "registry": Work("image of the registry", 30, 10),
    "traefik": Work("image of Traefik", 60, 5),
}


def first_start(backend: Backend, system: str = sys.platform) -> tuple[Work, ...]:
    """Return the missing parts that the demonstration needs; empty after the first start.

    `system` is this machine's, as `sys.platform` has it.
    """
    return tuple(_on_kind(backend, system) if backend.kind == KIND else _on_local_node())


def told(works: Sequence[Work]) -> Iterator[str]:
    """Yield a line for each part that is missing, and one with the total duration."""
    if not works:
        return
    megabytes, seconds = sum(one.megabytes for one in works), sum(one.seconds for one in works)
    yield (
        f"The first start on this machine takes {_size(megabytes)} over the network, and about "
        f"{_time(seconds)} of two idle cores:"
    )
    for work in works:
        time = _time(work.seconds) if work.seconds else ""
        yield f"  {work.what:<58}{_size(work.megabytes) if work.megabytes else '':>8}  {time:>6}".rstrip()
    yield "All of it is kept for later starts."


def prepare() -> None:
    """Make what the local node lacks: images beside programs, which leave the network idle.

    Raises
    ------
    ClusterError
        A prerequisite is missing, or something wasn't built; the message has its last words.
    """
    require_node_prerequisites()
    programs = [*PROGRAMS, *(() if on_path("helm") else ("helm",))]
    with ThreadPoolExecutor(1 + len(MADE)) as pool:
        making: list[Future[object]] = [pool.submit(built_image, name) for name in MADE]
        making.append(pool.submit(build_all, programs))
        for future in as_completed(making):
            future.result()


def _on_kind(backend: Backend, system: str) -> Iterator[Work]:
    needed = [name for name in TOOLS if name != "kubectl" or system != "linux"]
    missing = [name for name in needed if not on_path(name) and not is_built(name)]
    if runs_in_container() and not has_image(GO_IMAGE):
        yield GO
    yield from (TOOLS[name] for name in missing)
    image = node_image()
    if not has_image(image):
        yield Work(f"node image {image.partition('@')[0]}", 450)
    if not backend.is_ready():
        yield PUBLISHED
    if not all(was_built(target) for target in ("operator", "runtime")):
        yield DOCKERFILE


def _on_local_node() -> Iterator[Work]:
    yield from (work for name, work in PROGRAMS.items() if not is_built(name))
    if not on_path("helm") and not is_built("helm"):
        yield TOOLS["helm"]
    images = cache_folder() / "images"
    yield from (work for name, work in MADE.items() if not any(images.glob(f"{name}-*.tar")))


def _time(seconds: int) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004


def _size(megabytes: int) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes} MB"  # noqa: PLR2004
