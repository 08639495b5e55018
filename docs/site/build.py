"""Builds the site: `python -m docs.site.build FOLDER`. A broken link or anchor fails the build."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from docs.site.pages import ROOT, BrokenLink, page, pages
from docs.site.reference import PAGES

CONFIGURATION = Path(__file__).with_name("zensical.toml")


def assemble(stage: Path, source: str) -> None:
    """Write all pages, and the generator's configuration, into a folder."""
    known = pages()
    texts = {place: page(path, known, source) for path, place in known.items()}
    texts |= {place: written() for place, written in PAGES.items()}
    for place, text in texts.items():
        path = stage / "docs" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for picture in (ROOT / "docs").glob("*.svg"):
        shutil.copyfile(picture, stage / "docs" / picture.name)
    shutil.copytree(ROOT / "docs/pictures", stage / "docs/pictures")
    shutil.copyfile(CONFIGURATION, stage / CONFIGURATION.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when the site is in the folder."""
    parser = argparse.ArgumentParser(prog="docs.site.build", description="Build the site.")
    parser.add_argument("folder", type=Path, help="where to; what is there is replaced")
    parser.add_argument(
        "--source",
        default=os.environ.get("SITE_SOURCE", ""),
        help="address below which the repository's files lie (default: SITE_SOURCE, or no links)",
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sluicegate-site-") as scratch:
        try:
            assemble(Path(scratch), options.source.rstrip("/"))
        except BrokenLink as error:
            print(error, file=sys.stderr)
            return 1
        program = Path(sys.executable).with_name("zensical")
        done = subprocess.run([str(program), "build", "--strict"], cwd=scratch, check=False)
        if done.returncode:
            return 1
        shutil.rmtree(options.folder, ignore_errors=True)
        shutil.copytree(Path(scratch) / "site", options.folder)
    print(f"{options.folder}/index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
