"""A runtime image with a bento's packages: one more layer on the project's own.

Nothing runs in the image, so no container engine is needed: the packages are installed into a
folder for the image's Python and platform, and the registry gets that folder as a layer.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from sluicegate_service.base_image import read_base
from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.constraints import markers, python_of
from sluicegate_service.findings import GLIBC_MINOR
from sluicegate_service.oci import digest_of
from sluicegate_service.pack import write_layer
from sluicegate_service.registry import PushError, RegistryClient
from sluicegate_service.requirements import parse_requirements, requirements_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement

    from sluicegate_service.base_image import BaseImage, Source
    from sluicegate_service.bentos import Bento
    from sluicegate_service.registry import Target

PLACE: Final = "opt/bento"
"""Folder of the packages in the image: imported before the image's own."""
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
OURS: Final = frozenset({"sluicegate-service", "used-car-market"})
"""Packages of each runtime image that are in no index."""
LAST_LINES: Final = 12


def packages_to_add(
    bento: Bento, packages: Mapping[str, str], architecture: str = "amd64"
) -> list[str]:
    """Return lines of requirements, with exact versions, that an image with `packages` lacks.

    Locked requirements are unchanged; others are resolved now, with the image's packages as
    constraints. Raises BentoInvalid if that fails.
    """
    python = python_of(bento.python)
    requirements = requirements_in(bento, markers(python))
    required = {
        canonicalize_name(requirement.name): requirement
        for requirement in (*requirements.direct, *requirements.locked)
    }
    if not all(map(_is_pinned, required.values())):
        lines = [
            str(requirement) for requirement in required.values() if requirement.name not in OURS
        ]
        resolved = _resolve(lines, packages, _platform(architecture, python), python)
        required = {canonicalize_name(requirement.name): requirement for requirement in resolved}
    return [
        str(requirement)
        for name, requirement in sorted(required.items())
        if name not in OURS
        and not (_is_pinned(requirement) and _pin(requirement) == packages.get(name))
    ]


def local_environment(folder: Path, bento: Bento, packages: Mapping[str, str]) -> Path:
    """Install the packages of an image and of a bento on this machine; return the Python that has them.

    The environment has nothing of the caller's. `packages` are those of the image. Raises
    BentoInvalid if a package can't be installed, or this machine has no such Python.
    """
    architecture = platform.machine()
    architecture_name = {machine: name for name, machine in MACHINES.items()}.get(
        architecture, "amd64"
    )
    version = python_of(bento.python)
    added = packages_to_add(bento, packages, architecture_name)
    replaced_packages = {
        canonicalize_name(requirement.name)
        for requirement in parse_requirements("\n".join(added), markers(version))
    }
    kept_packages = {
        name: version for name, version in packages.items() if name not in OURS | replaced_packages
    }
    environment, uv = folder / "environment", _Uv.found()
    uv.run(
        "venv", "--quiet", f"--python={version}", "--no-python-downloads", str(environment),
        what=f"there is no Python {version}, which the runtime image has",
    )  # fmt: skip
    requirements_file = folder / "requirements.txt"
    requirements_file.write_text(
        "\n".join([*(f"{name}=={one}" for name, one in kept_packages.items()), *added]) + "\n"
    )
    python = environment / "bin/python"
    uv.run(
        "pip", "install", "--quiet", f"--python={python}", "--no-deps", f"--requirements={requirements_file}",
        what="the packages of the runtime image and the bento can't be installed",
    )  # fmt: skip
    library = environment / f"lib/python{version}/site-packages/sluicegate_service"
    shutil.copytree(Path(__file__).parent, library, ignore=shutil.ignore_patterns("__pycache__"))
    return python


def build_and_push(
    lines: list[str],
    source: Source,
    target: Target,
    *,
    python: str,
    architecture: str,
    auth: Path | None = None,
) -> str:
    """Add the packages to the image in `source`, push it, and return HOST/PATH@sha256:….

    `python` is that of the image, such as `3.13`.
    """
    with tempfile.TemporaryDirectory(prefix="sluicegate-image-") as folder:
        scratch = Path(folder)
        base = read_base(source, architecture, scratch)
        root = scratch / "root"
        _install(lines, root / PLACE, python, architecture)
        layer = write_layer(root, scratch / "layer.tar.gz", compiled=True)
        config, manifest, media_type = base.extended(
            layer, {"PYTHONPATH": _path(base)}, f"uv pip install {len(lines)} packages"
        )
        client = RegistryClient(target, auth)
        for layer_descriptor in base.layers:
            _take_over(client, base, layer_descriptor["digest"], scratch / "blob")
        client.upload_file(scratch / "layer.tar.gz", layer.digest)
        client.upload_bytes(config.data)
        client.put_manifest(target.tag or digest_of(manifest.data), manifest.data, media_type)
        return f"{target.repository}@{manifest.digest}"


def dockerfile(base: str, python: str) -> str:
    """Return the same image as a Dockerfile, to use with a requirements.txt of the packages."""
    return f"""\
FROM {base}
COPY requirements.txt /tmp/requirements.txt
USER 0
RUN uv pip install --python-version {python} --target /{PLACE} --no-deps -r /tmp/requirements.txt
USER 1034:1034
ENV PYTHONPATH=/opt/sluicegate:/{PLACE}:/opt/python
"""


@dataclass(frozen=True, slots=True)
class _Uv:
    """The program uv, of this environment or on PATH."""

    program: str

    @classmethod
    def found(cls) -> _Uv:
        uv_beside_python = Path(sys.executable).with_name("uv")
        program = str(uv_beside_python) if uv_beside_python.is_file() else shutil.which("uv")
        if program is None:
            raise PushError("uv isn't installed, which fetches the packages: pip install uv")
        return cls(program)

    def run(self, *arguments: str, what: str) -> str:
        completed = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        if completed.returncode:
            error_lines = "\n".join(completed.stderr.splitlines()[-LAST_LINES:])
            raise BentoInvalid(f"{what}:\n{error_lines}")
        return completed.stdout


def _platform(architecture: str, python: str) -> tuple[str, ...]:
    machine = MACHINES[architecture]
    return (
        f"--python-version={python}",
        f"--python-platform={machine}-manylinux_2_{GLIBC_MINOR}",
        "--only-binary=:all:",
    )


def _resolve(
    lines: list[str], packages: Mapping[str, str], platform_options: tuple[str, ...], python: str
) -> list[Requirement]:
    with tempfile.TemporaryDirectory() as folder:
        requirements, constraints = Path(folder) / "wanted.txt", Path(folder) / "constraints.txt"
        requirements.write_text("\n".join(lines) + "\n")
        constraints.write_text("".join(f"{name}=={one}\n" for name, one in packages.items()))
        output = _Uv.found().run(
            "pip", "compile", str(requirements), f"--constraints={constraints}", "--quiet",
            "--no-header", "--no-annotate", *platform_options,
            what="the bento's packages don't go together with the runtime image's",
        )  # fmt: skip
    return parse_requirements(output, markers(python))


def _install(lines: list[str], tree: Path, python: str, architecture: str) -> None:
    tree.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        requirements_file = Path(folder) / "requirements.txt"
        requirements_file.write_text("\n".join(lines) + "\n")
        _Uv.found().run(
            "pip", "install", "--quiet", f"--target={tree}", "--no-deps",
            f"--requirements={requirements_file}", *_platform(architecture, python),
            what="the bento's packages can't be installed",
        )  # fmt: skip
    # Scripts name the interpreter of this machine in their first line.
    shutil.rmtree(tree / "bin", ignore_errors=True)
    (tree / ".lock").unlink(missing_ok=True)
    if sys.version_info[:2] == tuple(map(int, python.split("."))):
        _compile(tree)


def _compile(tree: Path) -> None:
    # A container's root is read-only: without this, modules are compiled at each start.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode=unchecked-hash",
         "-s", str(tree), "-p", f"/{PLACE}", str(tree)],
        check=False, capture_output=True,
    )  # fmt: skip


def _path(base: BaseImage) -> str:
    first, *other_folders = base.variable("PYTHONPATH").split(":")
    return ":".join(filter(None, (first, f"/{PLACE}", *other_folders)))


def _take_over(client: RegistryClient, base: BaseImage, digest: str, path: Path) -> None:
    """Copy or mount a layer of the base into the target's repository; `path` is for a copy."""
    if client.has_blob(digest):
        return
    same_host = base.source.host == client.target.host
    if same_host and client.mount(digest, base.source.repository):
        return
    base.source.blob(digest, path)
    client.upload_file(path, digest)
    path.unlink()


def _is_pinned(requirement: Requirement) -> bool:
    return requirement.url is None and bool(re.fullmatch(r"==[^*,]+", str(requirement.specifier)))


def _pin(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix("==")
