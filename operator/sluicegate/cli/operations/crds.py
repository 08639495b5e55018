"""`sluicegate crds`: writes the CRDs generated from the types, or compares them with the files."""

import argparse
import sys
from pathlib import Path

from sluicegate.api.crd import DEFINITIONS, render_crd


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--directory", type=Path, default=Path("crds"), help="folder of the files (default: crds)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a file differs"
    )


def run(args: argparse.Namespace) -> int:
    """Write or check the files."""
    failed = 0
    for definition in DEFINITIONS:
        path: Path = args.directory / definition.file_name
        text = render_crd(definition)
        if args.check:
            failed |= _check(path, text)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return failed


def _check(path: Path, text: str) -> int:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path} differs from the types: run `sluicegate crds`", file=sys.stderr)
    return 1
