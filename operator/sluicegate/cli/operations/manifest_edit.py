"""Replacement of a product's model in a YAML file: two scalars; all other bytes remain."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from sluicegate.api.names import KIND
from sluicegate.errors import invalid, unreadable
from sluicegate.kube.resources import Key

PLACE: Final = ("spec", "model", "bento")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text in the file with its position."""

    value: str
    written: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Edit:
    """Positions of a product's image and version."""

    path: Path
    text: str
    image: Scalar
    version: Scalar


def find_product(files: Iterable[Path], key: Key) -> Edit:
    """Return the position of a product's model. InvalidInput unless exactly one file has it."""
    paths = list(files)
    edits = [edit for path in paths for edit in _in(path, key)]
    if len(edits) != 1:
        failure_text = "none of the files has" if not edits else "more than one document has"
        path_list = ", ".join(map(str, paths))
        raise invalid(
            str(key), f"{failure_text} this {KIND} ({path_list}): name the one file that does"
        )
    return edits[0]


def with_model(edit: Edit, image: str, version: str) -> bytes:
    """Return the file with another image and version."""
    text = edit.text
    new = {edit.image: image, edit.version: version}
    for place in sorted(new, key=lambda one: one.start, reverse=True):
        text = text[: place.start] + _quoted_value(new[place], place.written) + text[place.end :]
    return text.encode()


def _quoted_value(value: str, before: str) -> str:
    """Return `value` in the quotes of the old one; quote it if YAML would not read it as a string."""
    quote = before[0] if before[:1] in ("'", '"') else ""
    if not quote and yaml.safe_load(value) != value:
        quote = '"'
    return f"{quote}{value}{quote}"


def _in(path: Path, key: Key) -> Iterator[Edit]:
    try:
        text = path.read_bytes().decode()
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(str(path), error) from error
    except yaml.YAMLError as error:
        message = (
            f"is no plain YAML ({str(error).splitlines()[0]}): templates can't be written back"
        )
        raise invalid(str(path), message) from error
    for document in documents:
        if _is(document, key):
            yield Edit(
                path,
                text,
                _scalar(path, text, document, "image"),
                _scalar(path, text, document, "version"),
            )


def _is(document: yaml.Node | None, key: Key) -> bool:
    meta = _child(document, "metadata")
    kind, name, namespace = (
        _child(document, "kind"),
        _child(meta, "name"),
        _child(meta, "namespace"),
    )
    if not (_value(kind) == KIND and _value(name) == key.name):
        return False
    return namespace is None or _value(namespace) == key.namespace  # Kustomize may set it


def _scalar(path: Path, text: str, document: yaml.Node, name: str) -> Scalar:
    path_text, node = ".".join((*PLACE, name)), document
    for step in (*PLACE, name):
        entry = _entry(node, step)
        if entry is None:
            message = "isn't written out in the file (a merge key, or another layer, holds it)"
            raise invalid(f"{path}: {path_text}", f"{message}: write it there")
        key, node = entry
        if node.start_mark.index < key.end_mark.index:
            message = "is an alias of another place: write it out to have it written back"
            raise invalid(f"{path}: {path_text}", message)
    start, end = node.start_mark.index, node.end_mark.index
    source_text = text[start:end]
    if not isinstance(node, yaml.ScalarNode) or source_text[:1] in "&!|>" or "\n" in source_text:
        message = "isn't a text of one line (an anchor, a tag or a block): write it plainly"
        raise invalid(f"{path}: {path_text}", message)
    if "{{" in source_text:
        message = "is a template: write back to the file that it takes its values from"
        raise invalid(f"{path}: {path_text}", message)
    return Scalar(str(node.value), source_text, start, end)


def _entry(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((pair for pair in node.value if _value(pair[0]) == name), None)


def _child(node: yaml.Node | None, name: str) -> yaml.Node | None:
    entry = _entry(node, name)
    return entry[1] if entry else None


def _value(node: yaml.Node | None) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None
