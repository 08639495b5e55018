"""`-o`: the same facts as a table, JSON, YAML or names.

JSON and YAML of DataProducts are the API server's objects. Other documents have
`apiVersion: cli.sluicegate.dev/v1alpha1` and a kind, by the schema in `cli/schemas/output.json`.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from sluicegate.api.names import GROUP, SINGULAR
from sluicegate.views.plain_text import UNSAFE_CHARACTERS, clean_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FORMATS: Final = ("table", "wide", "json", "yaml", "name")
API_VERSION: Final = f"cli.{GROUP}/v1alpha1"

Document = dict[str, Any]


def add_output(parser: argparse.ArgumentParser, *, formats: Sequence[str] = FORMATS) -> None:
    """Add the option -o."""
    choices = ", ".join(formats)
    parser.add_argument(
        "--output", "-o", choices=formats, default=formats[0], metavar="FORMAT", help=f"one of {choices}"
    )  # fmt: skip


def document(kind: str, **fields: Any) -> Document:
    """Return a document in the plugin's own schema."""
    return {"apiVersion": API_VERSION, "kind": kind, **fields}


def objects(items: Sequence[Document], *, single: bool) -> Document:
    """Return API objects as kubectl prints them: an object or a List, without managed fields."""
    for item in items:
        item.get("metadata", {}).pop("managedFields", None)
    if single and len(items) == 1:
        return items[0]
    return {"apiVersion": "v1", "kind": "List", "metadata": {}, "items": list(items)}


def write(answer: Document, output: str) -> None:
    """Print a document as JSON or YAML."""
    sys.stdout.write(as_json(answer) if output == "json" else as_yaml(answer))


def as_json(answer: Document) -> str:
    """Format JSON; characters that control a terminal are escaped, which is the same text to a parser."""
    text = json.dumps(answer, indent=2, ensure_ascii=False)
    escaped = UNSAFE_CHARACTERS.sub(
        lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text
    )
    return f"{escaped}\n"


def as_yaml(answer: Document) -> str:
    """Format YAML; characters that control a terminal are escaped."""
    import yaml  # noqa: PLC0415 - only who asks for YAML waits for it

    plain = json.dumps(answer, ensure_ascii=False)
    return yaml.safe_dump(
        json.loads(plain),  # without aliases
        sort_keys=False,
        allow_unicode=not UNSAFE_CHARACTERS.search(plain),
        width=100,
    )


def file_text(file: str) -> str:
    """Return the text of a file, or of standard input for `-`. Raises OSError or UnicodeDecodeError."""
    from pathlib import Path  # noqa: PLC0415 - only commands that read files wait for it

    return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")


def write_text(text: str, file: Path | None) -> None:
    """Write a text into a file, and print its name; without a file, write to standard output."""
    if file:
        file.write_text(text, encoding="utf-8", newline="")
        print(file)
    else:
        print(text, end="")


def write_names(items: Sequence[Document]) -> None:
    """Print names like kubectl's `-o name`."""
    for item in items:
        sys.stdout.write(f"{SINGULAR}.{GROUP}/{item['metadata']['name']}\n")


def write_lines(lines: Iterable[str]) -> None:
    """Print lines without characters that control a terminal; leading spaces are kept."""
    for line in lines:
        sys.stdout.write(f"{clean_text(line)}\n")
