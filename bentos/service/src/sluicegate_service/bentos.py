"""Bentos on disk: a folder with bento.yaml, or an archive of one.

Packing, fetching and the runtime check all use this module, so that they accept the same bentos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from sluicegate_service.archives import ArchiveRefused, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_DOCUMENT = 1 << 20
"""Bytes of the largest bento.yaml."""
MOST_NODES = 100_000
"""Most values in a bento.yaml, those that aliases repeat included."""


OWN_SERVER: Final = (
    "starts a server of its own, whose requests can't be counted: define the API with @bentoml.api,"
    " and call the server from there"
)
"""Why a service with `__command__` or `cmd` isn't served."""
_BASE_PACKAGES: Final = "ca-certificates gnupg2 bash build-essential git"
"""Packages that BentoML installs in each of its images."""


class BentoInvalid(Exception):  # noqa: N818  # says what is the case, like the state it becomes
    """The folder or archive isn't a bento that can be served; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Bento:
    """A bento in a folder, with the content of its bento.yaml."""

    folder: Path
    name: str
    version: str
    service: str
    """Name of the entry service, as in /metrics."""
    services: tuple[str, ...]
    """Names of all its services."""
    created: str
    models: tuple[str, ...]
    python: str | None
    """The Python that it was built for, such as 3.11, if it is known."""
    workers: tuple[tuple[str, str], ...] = ()
    """Services that configure more than one worker, with what they configure."""
    resources: tuple[str, ...] = ()
    """Services that configure resources."""
    commands: tuple[str, ...] = ()
    """Commands by which BentoML builds its own image, beyond those of each image."""
    labels: tuple[tuple[str, str], ...] = ()
    """Its labels whose values are texts or numbers."""

    @property
    def requirements(self) -> Path:
        """The file of pinned requirements that the bento was built with."""
        return self.folder / "env" / "python" / "requirements.txt"


def read_bento(folder: Path) -> Bento:
    """Read the bento in `folder`; BentoInvalid if there is none."""
    path = folder / "bento.yaml"
    document = _document(path)
    services = _mappings(path, document, "services")
    models = {
        _text(path, model, "tag")
        for owner in (document, *services)
        for model in _mappings(path, owner, "models")
    }
    image = document.get("image") or {}
    return Bento(
        folder=folder,
        name=_text(path, document, "name"),
        version=_text(path, document, "version"),
        service=_text(path, document, "entry_service"),
        services=tuple(sorted(_text(path, service, "name") for service in services)),
        created=str(document.get("creation_time", "")),
        models=tuple(sorted(models)),
        python=_text(path, image, "python_version")
        if isinstance(image, dict) and image.get("python_version") is not None
        else None,
        workers=tuple(
            (_text(path, service, "name"), str(workers))
            for service in services
            if (workers := _workers(service))
        ),
        resources=tuple(
            _text(path, service, "name")
            for service in services
            if _configures(service, "resources")
        ),
        commands=tuple(_commands(image)),
        labels=tuple(_labels(document.get("labels"))),
    )


def _configures(service: dict[str, Any], field: str) -> bool:
    """Return whether a service configures a field."""
    config = service.get("config")
    return isinstance(config, dict) and bool(config.get(field))


def _commands(image: object) -> Iterator[str]:
    """Yield the commands of an image, without those by which BentoML begins each of them."""
    if not isinstance(image, dict):
        return
    for field in ("commands", "post_commands"):
        commands = image.get(field)
        for command in commands if isinstance(commands, list) else ():
            if isinstance(command, str) and _BASE_PACKAGES not in command:
                yield command


def _labels(labels: object) -> Iterator[tuple[str, str]]:
    """Yield the labels of a bento; no mistake in them prevents it from serving."""
    for name, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, str | int | float):
            yield str(name), str(value)


def _workers(service: dict[str, Any]) -> Any:
    """Return the workers that a service configures beyond one; None for one, or none."""
    config = service.get("config")
    workers = config.get("workers") if isinstance(config, dict) else None
    return None if workers in (None, 1) else workers


def require_models(bento: Bento) -> None:
    """Raise BentoInvalid unless each model that bento.yaml names lies in the bento itself.

    A bento in BentoML's store only refers to its models; elsewhere it would load any model of that
    name.
    """
    for tag in bento.models:
        name, _, version = tag.partition(":")
        outside = {"..", "/"} & set(Path(name, version).parts)
        if outside or not (bento.folder / "models" / name / version).is_dir():
            raise BentoInvalid(
                f"{bento.folder} names the model {tag} but doesn't hold it: export the bento first"
                f" (`bentoml export {bento.name}:{bento.version} FILE.bento`) and use that file"
            )


def extract(archive: Path, into: Path) -> None:
    """Unpack a .bento (a tar, however compressed) below `into`, readable by every user.

    A bento is folders and files: anything else is refused, and so is an archive that exceeds the
    bounds of `archives`.
    """
    try:
        unpack(archive, into)
    except ArchiveRefused as error:
        raise BentoInvalid(f"{error}; a .bento made by `bentoml export` can be unpacked") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise BentoInvalid(f"{path} has more than {LARGEST_DOCUMENT:,} bytes: refused")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BentoInvalid(
            f"{path.parent} is not a bento: {path.name} can't be read ({error.strerror}); give the"
            " folder or file that `bentoml export` writes"
        ) from error
    except UnicodeDecodeError as error:
        raise BentoInvalid(f"{path} is not YAML: {error}") from error
    try:
        document = _load(text)
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise BentoInvalid(f"{path} is not YAML: {error}") from error
    except RecursionError as error:
        raise BentoInvalid(f"{path} is nested too deeply: build the bento again") from error
    if not isinstance(document, dict):
        raise BentoInvalid(f"{path} holds no mapping: build the bento again")
    return document


def _load(text: str) -> object:
    """Load a document whose aliases don't make it larger than `MOST_NODES`."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_NODES:
            raise ValueError(f"its aliases make more than {MOST_NODES:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Count the values of a node, with those that an alias repeats each time; a cycle is an error."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise ValueError("an alias holds itself")
        return sizes[id(node)]
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_size(one, sizes) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_size(key, sizes) + _size(value, sizes) for key, value in node.value)
    sizes[id(node)] = size
    return size


def _mappings(path: Path, owner: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """Return a list of mappings; empty without it."""
    items = owner.get(field) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BentoInvalid(f"{path}: {field} is no list of mappings: build the bento again")
    return items


def _text(path: Path, owner: dict[str, Any], field: str) -> str:
    """Return a field that is a text or a number."""
    if field not in owner:
        raise BentoInvalid(f"{path} has no {field!r}: build the bento again")
    value = owner[field]
    if not isinstance(value, str | int | float) or "\0" in str(value):
        raise BentoInvalid(f"{path}: {field} is no text: build the bento again")
    return str(value)
