"""The chart of a release: `python .ci/chart_release.py VERSION REGISTRY OPERATOR RUNTIME FOLDER`.

OPERATOR and RUNTIME are the digests of the images that the same run pushed. The chart in FOLDER/sluicegate
names both by digest, so a signature of the chart covers them. FOLDER/sbom.cdx.json lists what it installs.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "sluicegate"
NAME = "sluicegate"
SBOM = "sbom.cdx.json"
IMAGES = ("operator", "runtime")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def release(version: str, registry: str, digests: Mapping[str, str], folder: Path) -> None:
    """Write the chart, with its images by digest, and its SBOM.

    Raises
    ------
    ValueError
        A digest is none, or the chart's values have other lines than those that name images.
    """
    for image, digest in digests.items():
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{image}: is {digest!r}: give the digest of the pushed image")
    target = folder / NAME
    shutil.copytree(CHART, target)
    values = target / "values.yaml"
    text = values.read_text(encoding="utf-8")
    runtime = f"{registry}/runtime@{digests['runtime']}"
    for pattern, line in (
        (r"(?m)^  repository: registry\.example/\S+$", f"  repository: {registry}/operator"),
        (r'(?m)^  digest: ""(.*)$', rf"  digest: {digests['operator']}\1"),
        (r'(?m)^  defaultRuntimeImage: ""$', f"  defaultRuntimeImage: {runtime}"),
    ):
        text, count = re.subn(pattern, line, text)
        if count != 1:
            raise ValueError(f"{values}: has {count} lines like {pattern}: one is expected")
    values.write_text(text, encoding="utf-8")
    document = json.dumps(sbom(version, registry, digests), indent=2)
    (folder / SBOM).write_text(f"{document}\n", encoding="utf-8")


def sbom(version: str, registry: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """What the chart installs, as CycloneDX: its images by digest, and its CRDs."""
    images = [
        {
            "type": "container",
            "name": f"{registry}/{image}",
            "version": digests[image],
            "bom-ref": image,
            "purl": f"pkg:oci/{image}@{digests[image].replace(':', '%3A')}?repository_url={registry}/{image}",
            "hashes": [{"alg": "SHA-256", "content": digests[image].removeprefix("sha256:")}],
        }
        for image in IMAGES
    ]
    crds = [
        {
            "type": "data",
            "name": yaml.safe_load(path.read_text(encoding="utf-8"))["metadata"]["name"],
            "version": version,
            "bom-ref": path.name,
        }
        for path in sorted((CHART / "files" / "crds").glob("*.yaml"))
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "name": NAME, "version": version, "bom-ref": "chart",
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [*images, *crds],
        "dependencies": [
            {"ref": "chart", "dependsOn": [one["bom-ref"] for one in (*images, *crds)]}
        ],
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Write both; return 1 with a message where that fails."""
    version, registry, operator, runtime, folder = arguments
    try:
        release(version, registry, {"operator": operator, "runtime": runtime}, Path(folder))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
