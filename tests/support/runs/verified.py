"""Suites that a change elsewhere can't break, and the content on which the whole of each passed.

A suite judges certain files. After a run of the whole suite passed, `--record-verified` writes the
hash of those files to `tests/verified.json`. While the hash is the same, a run takes the suite's
tests marked `anchor` alone; once it differs, all but those marked `grid`; with `--whole`, or where
a test is named by its id, all. So a file that was changed and not verified is never left untested,
and each run says in its summary which hash decided.

What a suite judges isn't a list that someone has to keep: it is what its tests import, and what
that imports, and besides the files that no import shows. Of a module that is imported only what
runs counts: no comment, no docstring, and no import that is for types alone.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[3]
RECORD = ROOT / "tests" / "verified.json"
SOURCES = ("", "operator", "bentos/service/src", "bentos/market/src")
"""Where an import of ours is looked for, below the repository's top."""
PROJECT = "sluicegate"
MADE = ("__pycache__", ".venv", ".pytest_cache", ".hypothesis")
"""Folders of what runs leave behind."""


@dataclass(frozen=True)
class Suite:
    """Some of the tests, and what they judge besides what they import.

    `tests` and `files` are files or folders, relative to the repository's top; `packages` are
    names in uv.lock, and `groups` the project's dependency groups: of these, and of all that they
    need, the locked versions count.
    """

    name: str
    tests: tuple[str, ...]
    files: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def holds(self, path: Path) -> bool:
        """Return whether a test file is one of the suite's."""
        return any(path.is_relative_to(ROOT / each) for each in self.tests)


SUITES = (
    Suite(
        "canaries",
        (
            "tests/simulation/test_canary_bars.py",
            "tests/simulation/test_compare_table.py",
            "tests/simulation/test_label_bars.py",
            "tests/simulation/test_label_delay_bars.py",
            "tests/simulation/test_shadow_bars.py",
        ),
        ("tests/simulation/anchors/canaries.json", "tests/simulation/anchors/comparison.txt"),
        packages=("numpy",),
    ),
    Suite(
        "degradation",
        (
            "tests/simulation/test_degradation.py",
            "tests/simulation/test_market_bars.py",
            "tests/simulation/test_noise_bars.py",
        ),
        ("tests/simulation/anchors/degradation.json",),
        packages=("numpy",),
    ),
    Suite(
        "consumers",
        (
            "tests/simulation/test_consumer_bars.py",
            "tests/simulation/test_upstream_evidence_bars.py",
        ),
        packages=("numpy",),
    ),
    Suite(
        "bentos",
        ("tests/bentos",),
        ("bentos", "tests/data/faulty", "tests/data/multiplied"),
        groups=("serving",),
    ),
    Suite(
        "cluster",
        ("tests/node/cluster", "tests/apiserver/test_control_plane.py"),
        (
            "cluster",
            "bentos/service",
            "charts/sluicegate/Chart.yaml",
            "tests/data/churn",
            "tests/data/small_service.py",
            "tests/data/tls_file_server.py",
        ),
        groups=("cluster", "gateway", "serving"),
    ),
)


def content(suite: Suite, root: Path = ROOT) -> str:
    """Return the hash of what a suite judges: names and content, and nothing of this machine."""
    digest = hashlib.sha256()
    named = {*_files(suite.files, root)}
    for path in sorted(judged(suite, root)):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        source = path.read_bytes()
        text = source if path in named or path.suffix != ".py" else _read(source).code
        digest.update(hashlib.sha256(text).digest())
    for name, version in sorted(_locked(suite, root)):
        digest.update(f"{name}=={version}\0".encode())
    return digest.hexdigest()


def judged(suite: Suite, root: Path = ROOT) -> set[Path]:
    """Return the files that a suite judges: its tests, all they import, and those that it names."""
    return {*_files(suite.tests, root), *_files(suite.files, root), *_imported(suite, root)}


def recorded() -> dict[str, str]:
    """Return the hash by suite on which the whole of it passed last."""
    hashes: dict[str, str] = json.loads(RECORD.read_text(encoding="utf-8"))
    return hashes


def record(hashes: dict[str, str]) -> None:
    """Write that the whole of these suites passed on this content."""
    RECORD.write_text(json.dumps(recorded() | hashes, indent=2, sort_keys=True) + "\n")


def _files(paths: Iterable[str], root: Path) -> Iterator[Path]:
    for each in paths:
        path = root / each
        if not path.exists():
            raise FileNotFoundError(
                f"tests/support/runs/verified.py names {each}, which isn't there"
            )
        candidates = [path] if path.is_file() else path.rglob("*")
        yield from (
            candidate
            for candidate in candidates
            if candidate.is_file() and not set(MADE) & set(candidate.relative_to(root).parts)
        )


def _imported(suite: Suite, root: Path) -> set[Path]:
    """Return the modules of ours that a suite's tests import, directly or not, conftests among them."""
    waiting = [path for path in _files(suite.tests, root) if path.suffix == ".py"]
    for path in [*waiting]:
        beside = (folder / "conftest.py" for folder in path.parents if folder != root)
        waiting += [each for each in beside if each.is_relative_to(root) and each.is_file()]
    paths: set[Path] = set()
    modules: dict[str, tuple[Path, ...]] = {}
    while waiting:
        path = waiting.pop()
        if path not in paths:
            paths.add(path)
            for name in _read(path.read_bytes()).imports:
                if name not in modules:
                    modules[name] = _modules(name, root)
                waiting += modules[name]
    return paths


@dataclass(frozen=True, slots=True)
class Module:
    """What counts of a Python file.

    Attributes
    ----------
    imports : names of the modules that it imports, and what it takes of them.
    code : its lines but for docstrings, and for lines that hold a comment alone or nothing.
    """

    imports: frozenset[str]
    code: bytes


@cache
def _read(source: bytes) -> Module:
    names: set[str] = set()
    silent: set[int] = set()
    texts: set[int] = set()
    lines = source.splitlines()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if not lines[node.lineno - 1][: node.col_offset].strip():
                silent.update(_lines(node))
                continue
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            texts.update(_lines(node))
        waiting += ast.iter_child_nodes(node)
    code = (
        line
        for number, line in enumerate(lines, start=1)
        if number in texts or (number not in silent and line.strip() and not _is_comment(line))
    )
    return Module(frozenset(names), b"\n".join(code))


def _lines(node: ast.expr | ast.stmt) -> range:
    """Return the lines of a node."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _is_comment(line: bytes) -> bool:
    return line.lstrip().startswith(b"#")


def _modules(name: str, root: Path) -> tuple[Path, ...]:
    """Return the files of a module and of the packages that it lies in, where they are ours."""
    parts = name.split(".")
    stems = (
        os.path.join(root, source, *parts[:length])  # noqa: PTH118  # thousands; a Path costs ten
        for source in SOURCES
        if {parts[0], f"{parts[0]}.py"} & _names(root, source)
        for length in range(1, len(parts) + 1)
    )
    paths = (path for stem in stems for path in (f"{stem}.py", f"{stem}/__init__.py"))
    return tuple(Path(path) for path in paths if os.path.isfile(path))  # noqa: PTH113


@cache
def _names(root: Path, source: str) -> frozenset[str]:
    """Return the top-level names of a source root, so that other packages' modules aren't searched there."""
    folder = root / source
    return frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()  # noqa: PTH208


def _locked(suite: Suite, root: Path) -> set[tuple[str, str]]:
    """Return the packages of a suite and all that these need, with each version that is locked of them."""
    if not (suite.packages or suite.groups):
        return set()
    packages: dict[str, list[dict[str, Any]]] = {}
    for entry in tomllib.loads((root / "uv.lock").read_text(encoding="utf-8"))["package"]:
        packages.setdefault(entry["name"], []).append(entry)
    waiting = [{"name": name} for name in suite.packages]
    for group in suite.groups:
        waiting += packages[PROJECT][0]["dev-dependencies"][group]
    versions: set[tuple[str, str]] = set()
    visited: set[tuple[str, str]] = set()
    while waiting:
        desired = waiting.pop()
        for extra in ("", *desired.get("extra", ())):
            if (desired["name"], extra) in visited:
                continue
            visited.add((desired["name"], extra))
            for package in packages[desired["name"]]:
                versions.add((package["name"], package["version"]))
                optional = package.get("optional-dependencies", {}).get(extra, [])
                waiting += optional if extra else package.get("dependencies", [])
    return versions
