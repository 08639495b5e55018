"""The plugin for krew: `python .ci/krew.py VERSION URL FOLDER` writes its archive and its manifest.

The archive holds no Python: a package for each system and each Python would be needed. It holds a
script that has uv run the published package of this version, which uv keeps after the first time.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = "kubectl-sluicegate.tar.gz"
MANIFEST = "sluicegate.yaml"
PROGRAM = "kubectl-sluicegate"
SCRIPT = """\
#!/bin/sh
# `kubectl sluicegate` as krew installs it.
if ! command -v uvx >/dev/null; then
  echo "kubectl sluicegate needs uv, which brings Python: https://docs.astral.sh/uv" >&2
  exit 1
fi
exec uvx --quiet --from 'sluicegate[web]=={version}' kubectl-sluicegate "$@"
"""


def archive(version: str) -> bytes:
    """The script and the licence; the same bytes each time."""
    files = (
        (PROGRAM, SCRIPT.format(version=version).encode(), 0o755),
        ("LICENSE", (ROOT / "LICENSE").read_bytes(), 0o644),
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, content, mode in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            made.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def manifest(version: str, url: str, packed: bytes) -> str:
    """What krew's index holds of a plugin.

    Parameters
    ----------
    url : of the folder that the archive is published in.
    """
    platforms = {"key": "os", "operator": "In", "values": ["darwin", "linux"]}
    document = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "sluicegate"},
        "spec": {
            "version": f"v{version}",
            "homepage": url.partition("/releases/")[0],
            "shortDescription": "Run AI models as products",
            "description": (
                "Lists DataProducts and what waits for a person, approves and rolls back model"
                " versions with their evidence, waits for them in pipelines, and signs reviews."
            ),
            "caveats": "Needs uv (https://docs.astral.sh/uv), which fetches the package once.",
            "platforms": [
                {
                    "selector": {"matchExpressions": [platforms]},
                    "uri": f"{url.rstrip('/')}/{ARCHIVE}",
                    "sha256": hashlib.sha256(packed).hexdigest(),
                    "files": [{"from": "*", "to": "."}],
                    "bin": PROGRAM,
                }
            ],
        },
    }
    return yaml.safe_dump(document, sort_keys=False, width=100)


def main(arguments: Sequence[str]) -> int:
    """Write both."""
    version, url, folder = arguments
    packed = archive(version)
    Path(folder, ARCHIVE).write_bytes(packed)
    Path(folder, MANIFEST).write_text(manifest(version, url, packed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
