"""Whether a tag may be a release, and what it says: `make release-notes VERSION=1.2.3`.

A version is in the packages, the chart and the changelog; a tag that they don't know is a mistake,
which is cheaper to tell before anything is pushed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROJECTS = ("pyproject.toml", "bentos/service/pyproject.toml")
CHART = "charts/sluicegate/Chart.yaml"
CHANGELOG = "CHANGELOG.md"
FRAGMENTS = "changelog.d"


def problems(version: str, folder: Path) -> Iterator[str]:
    """What in the folder of the repository isn't at `version`."""
    for path in PROJECTS:
        found = tomllib.loads((folder / path).read_text(encoding="utf-8"))["project"]["version"]
        if found != version:
            yield f"{path}: is {found}, and the tag says {version}: change one of them"
    chart = yaml.safe_load((folder / CHART).read_text(encoding="utf-8"))
    for field in ("version", "appVersion"):
        if str(chart[field]) != version:
            yield f"{CHART}: is {chart[field]} ({field}), and the tag says {version}: change one"
    if not notes(version, folder):
        yield f"{CHANGELOG}: has no section [{version}]: run `make changelog VERSION={version}`"
    for fragment in sorted((folder / FRAGMENTS).glob("*.*.md")):
        yield f"{FRAGMENTS}/{fragment.name}: is not in {CHANGELOG}: run `make changelog VERSION={version}`"


def notes(version: str, folder: Path) -> str:
    """The section of a version in the changelog; empty without one."""
    text = (folder / CHANGELOG).read_text(encoding="utf-8")
    pattern = rf"^## \[{re.escape(version)}\].*?\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def main(arguments: Sequence[str]) -> int:
    """Print the notes; 1 where the repository isn't at that version."""
    (version,), folder = arguments, Path.cwd()
    if found := list(problems(version, folder)):
        print("\n".join(found), file=sys.stderr)
        return 1
    print(notes(version, folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
