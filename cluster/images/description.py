"""What an image holds, as a value: parsed from TOML, checked once, trusted afterwards."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from cluster.images.errors import ImageError

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
REFERENCE_PREFIX = "sluicegate.local"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """The lowest layer: Debian packages and what they depend on.

    `variant` is mmdebstrap's: `essential` gives a small, configured system, `extract`
    only the files of the packages (enough for a single program); `only` then keeps the
    paths below these, because a program's package depends on more than it runs with.
    """

    suite: str
    packages: tuple[str, ...]
    variant: str = "essential"
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """Locked Python packages, from uv.lock.

    Either `groups` alone (dependency groups of pyproject.toml), or the project's own
    dependencies with `extras`. What is installed is the same on every machine: wheels
    for `version` on x86-64 Linux, with their hashes.
    """

    target: str
    version: str = "3.11"
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    keep_programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """A package of this repository: its modules and the metadata that name its version."""

    source: str
    pyproject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The small layer that changes most often: the repository's own Python packages."""

    target: str
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A binary built from Go modules, by the name it has in the cluster's cache."""

    name: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a container of the image starts."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    user: str = "0:0"
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDescription:
    """One image: up to four layers, lowest first, and how it starts."""

    name: str
    version: str
    runtime: Runtime
    debian: Debian | None = None
    python: Python | None = None
    program: Program | None = None
    code: Code | None = None

    @property
    def reference(self) -> str:
        """The name of the image in pods; it is loaded and never pulled."""
        return f"{REFERENCE_PREFIX}/{self.name}:{self.version}"


def image_names() -> tuple[str, ...]:
    """Return the images this repository can build."""
    return tuple(sorted(path.stem for path in HERE.glob("*.toml")))


def describe(name: str) -> ImageDescription:
    """Return the description called `name`. Raises ImageError with the existing names."""
    path = HERE / f"{name}.toml"
    if not path.is_file():
        raise ImageError(f"no image is called {name!r}: choose one of {', '.join(image_names())}")
    return parse(name, tomllib.loads(path.read_text()))


def parse(name: str, document: dict[str, Any]) -> ImageDescription:
    """Return a description from its TOML document; ImageError names the table and the key."""
    parsers = {
        "runtime": Runtime,
        "debian": Debian,
        "python": Python,
        "program": Program,
    }
    parts: dict[str, Any] = {}
    for key, value in document.items():
        if key in parsers:
            parts[key] = _table(f"{name}.toml [{key}]", value, parsers[key])
        elif key == "code":
            parts[key] = _code(f"{name}.toml [code]", value)
        elif key == "version":
            parts[key] = str(value)
        else:
            raise ImageError(
                f"{name}.toml: {key!r} is not known; tables are {sorted(parsers)}, code"
            )
    return _table(f"{name}.toml", {"name": name, **parts}, ImageDescription)


def _code(place: str, table: dict[str, Any]) -> Code:
    distributions = tuple(
        _table(f"{place} distributions[{index}]", entry, Distribution)
        for index, entry in enumerate(table.get("distributions", ()))
    )
    return _table(place, {**table, "distributions": distributions}, Code)


def _table(place: str, table: dict[str, Any], kind: type[T]) -> T:
    """Return `table` as a `kind`, lists as tuples; ImageError instead of TypeError."""
    allowed = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise ImageError(
            f"{place}: {unknown[0]!r} is not known; keys are {', '.join(sorted(allowed))}"
        )
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        raise ImageError(f"{place}: {error}") from error
