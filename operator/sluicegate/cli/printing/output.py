"""`-o`: the same facts as a table, JSON, YAML or names.

JSON and YAML of DataProducts are the API server's objects. What a command makes itself has
`apiVersion: cli.sluicegate.dev/v1alpha1` and a kind, by the schema in `cli/schemas/output.json`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.names import GROUP, SINGULAR
from sluicegate.cli.printing.terminal import UNSAFE, clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FORMATS: Final = ("table", "wide", "json", "yaml", "name")
API_VERSION: Final = f"cli.{GROUP}/v1alpha1"

Document = dict[str, Any]


def add_output(parser: argparse.ArgumentParser, *, formats: Sequence[str] = FORMATS) -> None:
    """Declare -o."""
    known = ", ".join(formats)
    parser.add_argument(
        "--output", "-o", choices=formats, default=formats[0], metavar="FORMAT", help=f"one of {known}"
    )  # fmt: skip


def document(kind: str, **fields: Any) -> Document:
    """A document of the plugin's own, by its schema."""
    return {"apiVersion": API_VERSION, "kind": kind, **fields}


def objects(found: Sequence[Document], *, single: bool) -> Document:
    """Objects of the API server as kubectl prints them: one, or a List; without managed fields."""
    for one in found:
        one.get("metadata", {}).pop("managedFields", None)
    if single and len(found) == 1:
        return found[0]
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": list(found)}


def write(answer: Document, output: str) -> None:
    """Print a document as JSON or YAML."""
    sys.stdout.write(as_json(answer) if output == "json" else as_yaml(answer))


def as_json(answer: Document) -> str:
    """JSON; characters that a terminal could obey are escaped, which is the same text to a parser."""
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    escaped = UNSAFE.sub(
        lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text
    )
    return f"{escaped}\n"


def as_yaml(answer: Document) -> str:
    """YAML; the same characters are escaped."""
    import yaml  # noqa: PLC0415 - only who asks for YAML waits for it

    plain = json.dumps(answer, ensure_ascii=False)
    return yaml.safe_dump(
        json.loads(plain),  # without aliases
        sort_keys=False,
        allow_unicode=not UNSAFE.search(plain),
        width=100,
    )


def write_text(text: str, file: Path | None) -> None:
    """Write a text into a file, whose name is printed; to standard output without one."""
    if file:
        file.write_text(text, encoding="utf-8", newline="")
        print(file)
    else:
        print(text, end="")


def write_names(found: Sequence[Document]) -> None:
    """Print names as `-o name` of kubectl has them."""
    for one in found:
        sys.stdout.write(f"{SINGULAR}.{GROUP}/{one['metadata']['name']}\n")


def write_lines(lines: Iterable[str]) -> None:
    """Print lines, without what a terminal obeys; the spaces that they begin with stay."""
    for line in lines:
        sys.stdout.write(f"{clean(line)}\n")
