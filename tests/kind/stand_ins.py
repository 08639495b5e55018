"""Stand-ins for images of Docker Hub, under their names, for an engine that reaches no registry.

Debian's base is made of Debian's packages; Go's has the machine's own Go, and a module proxy of what
a laptop asks for: kind, and the definitions of the Gateway API.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.builds import GO_FOLDER
from cluster.cache import cache_folder
from cluster.commands import run
from cluster.images.description import Debian
from cluster.images.layers import LayerStore
from cluster.toolchain import IMAGE as GO_IMAGE
from cluster.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kind.engine import Engine

MODULES = ("gateway-api", "kind")
AUTHORITIES = Path("/usr/local/share/ca-certificates")
DEBIAN_IMAGE = f"debian:{versions().debian}-slim"
DEBIAN_FILE = """\
FROM scratch
ADD debian.tar /
COPY authorities/ /usr/local/share/ca-certificates/
RUN mkdir -p /var/cache/apt/archives/partial /var/lib/apt/lists/partial /var/log/apt \
    && update-ca-certificates
"""
GO_FILE = f"""\
FROM {DEBIAN_IMAGE}
ADD go.tar /usr/local/go/
COPY proxy /proxy
ENV PATH=/usr/local/go/bin:/usr/bin:/bin GOPROXY=file:///proxy GOSUMDB=off GOTOOLCHAIN=local
"""


def make_stand_ins(own: Engine) -> None:
    """Build them in an engine."""
    with tempfile.TemporaryDirectory(prefix="stand-ins-", dir=cache_folder()) as scratch:
        _debian(own, Path(scratch) / "debian")
        _go(own, Path(scratch) / "go")


def _debian(own: Engine, context: Path) -> None:
    context.mkdir()
    desired = Debian(
        suite=versions().debian, variant="minbase", packages=("apt", "ca-certificates")
    )
    shutil.copyfile(
        LayerStore(cache_folder() / "layers").debian(desired).path, context / "debian.tar"
    )
    (context / "authorities").mkdir()
    for path in AUTHORITIES.glob("*.crt"):
        shutil.copyfile(path, context / "authorities" / path.name)
    _build(own, DEBIAN_IMAGE, context, DEBIAN_FILE)


def _go(own: Engine, context: Path) -> None:
    context.mkdir()
    root = Path(_go_env("GOROOT"))
    # What compiles is there as programs; tests are of no use.
    without = (f"--exclude={name}" for name in ("src/cmd", "testdata", "*_test.go"))
    parts = ("VERSION", "bin", "go.env", "pkg", "src")
    run("tar", "--create", f"--file={context / 'go.tar'}", f"--directory={root}", *without, *parts)
    kept = Path(_go_env("GOMODCACHE")) / "cache" / "download"
    for folder in MODULES:
        for path in _of_modules(kept, GO_FOLDER / folder / "go.sum"):
            target = context / "proxy" / path.relative_to(kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    _build(own, GO_IMAGE, context, GO_FILE)


def _of_modules(kept: Path, sums: Path) -> Iterator[Path]:
    """Yield the modules of a go.sum from the Go module cache, as a module proxy has them."""
    for line in sums.read_text().splitlines():
        module, version, _ = line.split()
        # Proxies and the module cache write a capital as `!` and the small letter.
        name = re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", module)
        found = (kept / name / "@v").glob(f"{version.removesuffix('/go.mod')}.*")
        yield from (path for path in found if path.suffix in {".info", ".mod", ".zip"})


def _go_env(name: str) -> str:
    done = subprocess.run(["go", "env", name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _build(own: Engine, tag: str, context: Path, text: str) -> None:
    (context / "Dockerfile").write_text(text)
    own.run("docker", "build", "--network=none", f"--tag={tag}", str(context))
