"""The layers of an image, each cached under the hash of its inputs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from cluster.images import python_packages
from cluster.images.programs import run
from cluster.images.tarballs import EPOCH, copy_members, write_tree
from cluster.prerequisites import require_image_prerequisites
from sluicegate_service.oci import HashingWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.images.description import Code, Debian, Python

RECIPE = 1  # raise it when a layer would come out differently from the same description
MERGED_USR = (  # else apt chooses the package usrmerge, and perl with it: 50 MB
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    (
        "--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && printf '%s\\n'"
        " 'Package: usrmerge' 'Pin: release *' 'Pin-Priority: -1'"
        ' > "$1/etc/apt/preferences.d/no-usrmerge"'
    ),
)
UNWANTED = (  # documentation and caches, which nothing in a container reads
    "/dev",
    "/usr/share/doc",
    "/usr/share/info",
    "/usr/share/locale",
    "/usr/share/man",
    "/var/cache",
    "/var/lib/apt/lists",
    "/var/log",
)


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed layer on disk; its digest is also its diff_id."""

    path: Path
    digest: str
    size: int
    made_by: str


class LayerStore:
    """Layers in a folder, written atomically, found again by their key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def debian(self, debian: Debian) -> Layer:
        """Return the files of Debian packages."""
        made_by = f"mmdebstrap {debian.variant} {debian.suite}: {' '.join(debian.packages)}"
        return self._layer(asdict(debian), made_by, lambda sink: _bootstrap(debian, sink))

    def python(self, python: Python) -> Layer:
        """Return the locked packages, compiled to bytecode."""
        requirements = self._requirements(python)
        made_by = f"uv pip install: {' '.join(python.groups or ('the project', *python.extras))}"
        inputs = {**asdict(python), "requirements": requirements}
        return self._layer(inputs, made_by, lambda sink: _install(python, requirements, sink))

    def _requirements(self, python: Python) -> str:
        """Return the exported requirements, cached, as uv takes longer than the rest of an unchanged build."""
        key = _key(["requirements", asdict(python), python_packages.lock_fingerprint()])
        kept = self._folder / f"{key}.txt"
        if not kept.is_file():
            _write_text(kept, python_packages.export(python))
        return kept.read_text()

    def program(self, binary: Path, target: str) -> Layer:
        """Return one static program at `target`."""
        inputs = {"target": target, "sha256": _sha256(binary)}
        return self._layer(
            inputs, f"copy {binary.name} to {target}", lambda sink: _place(binary, target, sink)
        )

    def code(self, code: Code, python: str) -> Layer:
        """Return the repository's own packages at their present state."""
        inputs = {**asdict(code), "files": python_packages.fingerprint(code)}
        names = ", ".join(Path(entry.source).name for entry in code.distributions)
        return self._layer(inputs, f"copy {names}", lambda sink: _copy_code(code, python, sink))

    def _layer(self, inputs: object, made_by: str, write: Callable[[IO[bytes]], None]) -> Layer:
        key = _key(inputs)
        path, facts = self._folder / f"{key}.tar", self._folder / f"{key}.json"
        if not (path.is_file() and facts.is_file()):
            self._write(path, facts, write)
        recorded = json.loads(facts.read_text())
        return Layer(path, recorded["digest"], recorded["size"], made_by)

    def _write(self, path: Path, facts: Path, write: Callable[[IO[bytes]], None]) -> None:
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            temporary = Path(file.name)
            try:
                sink = HashingWriter(file)
                write(cast("IO[bytes]", sink))
            except BaseException:
                temporary.unlink()
                raise
        temporary.chmod(0o644)
        temporary.replace(path)
        _write_text(facts, json.dumps({"digest": sink.digest, "size": sink.size}))


def _bootstrap(debian: Debian, sink: IO[bytes]) -> None:
    require_image_prerequisites()
    with tempfile.TemporaryDirectory() as scratch:
        rootfs = Path(scratch) / "rootfs.tar"
        run(
            [
                "mmdebstrap",
                "--quiet",
                f"--variant={debian.variant}",
                f"--include={','.join(debian.packages)}",
                "--skip=output/mknod",
                *(MERGED_USR if debian.variant == "essential" else ()),
                debian.suite,
                str(rootfs),
            ],
            env={"SOURCE_DATE_EPOCH": str(EPOCH)},
        )
        with rootfs.open("rb") as source:
            copy_members(source, sink, only=debian.only, without=UNWANTED)


def _install(python: Python, requirements: str, sink: IO[bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "packages"
        python_packages.install(python, requirements, tree)
        write_tree(tree, python.target, sink)


def _copy_code(code: Code, python: str, sink: IO[bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "code"
        python_packages.copy_code(code, python, tree)
        write_tree(tree, code.target, sink)


def _place(binary: Path, target: str, sink: IO[bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(target)
        copied = Path(scratch) / path.name
        shutil.copyfile(binary, copied)
        copied.chmod(0o755)
        write_tree(Path(scratch), str(path.parent), sink)


def _key(inputs: object) -> str:
    text = json.dumps([RECIPE, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)
