"""Python packages for images: the locked ones by uv, and the repository's own.

Both are compiled to bytecode that is never checked against its source: a container's root
is read-only, so what isn't compiled here would be compiled again at each start.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tomllib
from typing import TYPE_CHECKING

from cluster.images.description import REPOSITORY
from cluster.images.programs import run

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.images.description import Code, Distribution, Python

GLIBC = "2_36"  # of Debian bookworm; wheels may ask for it or an older one
NOT_CODE = shutil.ignore_patterns("__pycache__", "*.pyc")


def export(python: Python) -> str:
    """Return the requirements that uv.lock pins for `python`, with hashes, as uv writes them."""
    chosen = [f"--only-group={group}" for group in python.groups]
    if not chosen:
        chosen = ["--no-default-groups", *(f"--extra={extra}" for extra in python.extras)]
    return run(
        [
            "uv",
            "export",
            f"--project={REPOSITORY}",
            "--frozen",
            "--quiet",
            "--no-header",
            "--no-annotate",
            "--no-emit-workspace",
            *chosen,
        ]
    )


def lock_fingerprint() -> dict[str, str]:
    """Return the sha256 of the files that `export` depends on."""
    files = (REPOSITORY / name for name in ("pyproject.toml", "uv.lock"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def install(python: Python, requirements: str, tree: Path) -> None:
    """Install `requirements` into `tree` as for Linux with `python.version`."""
    tree.mkdir(parents=True)
    listed = tree.parent / "requirements.txt"
    listed.write_text(requirements)
    run(
        [
            "uv",
            "pip",
            "install",
            "--quiet",
            f"--target={tree}",
            f"--python-version={python.version}",
            f"--python-platform={platform.machine()}-manylinux_{GLIBC}",
            "--only-binary=:all:",
            "--no-deps",
            "--require-hashes",
            f"--requirements={listed}",
        ]
    )
    _drop_programs(tree, python.keep_programs)
    _compile(tree, python.target, python.version)


def copy_code(code: Code, version: str, tree: Path) -> None:
    """Copy the repository's packages into `tree`, each with the metadata that names it."""
    for entry in code.distributions:
        source = REPOSITORY / entry.source
        shutil.copytree(source, tree / source.name, ignore=NOT_CODE)
        _write_metadata(entry, tree)
    _compile(tree, code.target, version)


def fingerprint(code: Code) -> dict[str, str]:
    """Return the sha256 of each file that `copy_code` would copy or read."""
    files = [
        path
        for entry in code.distributions
        for path in (REPOSITORY / entry.source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    files += [REPOSITORY / entry.pyproject for entry in code.distributions]
    return {
        str(path.relative_to(REPOSITORY)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def _write_metadata(entry: Distribution, tree: Path) -> None:
    """Write the metadata from which importlib.metadata reads the installed version."""
    project = tomllib.loads((REPOSITORY / entry.pyproject).read_text())["project"]
    folder = tree / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    (folder / "METADATA").write_text("\n".join([*lines, ""]))


def _drop_programs(tree: Path, keep: tuple[str, ...]) -> None:
    """Remove console scripts: their first line names the interpreter of the build machine."""
    for program in sorted((tree / "bin").glob("*")):
        if program.name not in keep:
            program.unlink()
    for leftover in (tree / ".lock", tree / "bin" / ".lock"):
        leftover.unlink(missing_ok=True)


def _compile(tree: Path, target: str, version: str) -> None:
    # Some packages ship files for other Pythons, which don't compile and are never imported.
    run(
        [
            "uv",
            "run",
            "--no-project",
            f"--python={version}",
            "python",
            "-m",
            "compileall",
            "-qq",
            "-j2",
            "--invalidation-mode=unchecked-hash",
            "-x=/tests?/",
            f"-s{tree}",
            f"-p{target}",
            str(tree),
        ],
        may_fail=True,
    )
