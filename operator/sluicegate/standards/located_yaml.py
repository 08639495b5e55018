"""Documents of YAML or JSON whose values have their line numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from sluicegate.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A value of a document, its path within the document, and the lines of all paths."""

    value: Any
    file: str
    lines: Mapping[Path, int]
    path: Path = ()

    @property
    def place(self) -> str:
        """Return the file with the line, from 1; of a merged mapping, that of the value it is merged into."""
        path = self.path
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.file}:{self.lines[path]}"

    def at(self, *path: str | int) -> Located | None:
        """Return the value at a path below; None if there is none, or null."""
        value = self.value
        for key in path:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        path_below = (*self.path, *path)
        return None if value is None else Located(value, self.file, self.lines, path_below)

    def text(self, *path: str | int) -> str:
        """Return the text at a path below; empty if there is none."""
        path_below = self.at(*path)
        return (
            path_below.value if path_below is not None and isinstance(path_below.value, str) else ""
        )

    def items(self, *path: str | int) -> Iterator[Located]:
        """Yield the items of the list at a path below."""
        path_below = self.at(*path)
        if path_below is not None and isinstance(path_below.value, list):
            for index in range(len(path_below.value)):
                if (item := path_below.at(index)) is not None:
                    yield item


def located_documents(text: str, file: str) -> list[Located]:
    """Return the documents of a text; the items of a List, or of a list, in its place. Raises InvalidInput."""
    loader = yaml.SafeLoader(text)
    documents: list[Located] = []
    try:
        while loader.check_node() and (node := loader.get_node()):
            lines = dict(_lines(node, ()))
            value = loader.construct_document(node)
            documents += _flat_documents(Located(value, file, lines))
    except yaml.YAMLError as error:
        raise invalid(file, f"is no YAML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise invalid(file, f"can't be read: {error}") from error
    finally:
        loader.dispose()
    return documents


def _flat_documents(document: Located) -> Iterator[Located]:
    if isinstance(document.value, list):
        yield from document.items()
    elif document.text("kind") == "List":
        yield from document.items("items")
    elif document.value is not None:
        yield document


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = (*path, key.value)
            yield from _lines(value, name)
            yield name, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))
