"""Files of YAML or JSON that a command is given, with one error for each kind of mistake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from sluicegate.cli.printing.output import file_text
from sluicegate.errors import invalid, unreadable

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast loader where libyaml is installed, as ledgers are long."""


def read_yaml(file: str, *, loader: Any = LOADER, argument: str = "") -> list[Any]:
    """Return the documents in a file, in order.

    Parameters
    ----------
    file : its path, or `-` for standard input.
    loader : class of PyYAML that reads no Python objects.
    argument : the option that names the file, for errors; empty for the file alone.

    Raises
    ------
    InvalidInput
        The file can't be read, or is no YAML.
    """
    name = f"{argument} {file}".strip()
    try:
        return list(yaml.load_all(file_text(file), loader))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(name, error) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise invalid(name, f"is no YAML: {error}") from error


def files_in(path: Path) -> Iterator[Path]:
    """Yield a file, or the JSON files in a folder as `sluicegate archive` writes it, by name."""
    if path.is_dir():
        yield from sorted(path.rglob("*.json"))
    else:
        yield path
