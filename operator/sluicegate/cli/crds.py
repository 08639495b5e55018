"""`sluicegate crds`: write the CRD from the types, or check that what is there is the same."""

import argparse
import sys
from pathlib import Path

from sluicegate.api.crd import FILE_NAME, render_crd


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--directory", type=Path, default=Path("crds"), help="where the file lies (default: crds)"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when the file differs"
    )


def run(args: argparse.Namespace) -> int:
    """Write or check the file."""
    path: Path = args.directory / FILE_NAME
    text = render_crd()
    if args.check:
        return _check(path, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(path)
    return 0


def _check(path: Path, text: str) -> int:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"{path} is not what the types say: run `sluicegate crds`", file=sys.stderr)
    return 1
