"""Comparison of a bento's requirements with the runtime image, before it is served.

`python -m sluicegate_service.runtime_check /bento` runs as an init container. A model that was
pickled with another version of its framework may load and then answer wrongly, so a mismatch ends
the pod here, with each package in the termination message, instead of a crash loop or wrong
answers. So does an entry service with another name than the one whose series are read: such a
version would serve, and never be measured. For a matching bento the message is the summary of its
API, the labels that say what was tried with it, and what the Secret of serving.feedback lacks: the
operator reads no Secrets.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.tags import sys_tags

from sluicegate_service.api_summary import MOST_BYTES, summarise
from sluicegate_service.bentos import Bento, BentoInvalid, read_bento
from sluicegate_service.environment import ENTRY_SERVICE, FEEDBACK_DIRECTORY
from sluicegate_service.keys import KeyFiles
from sluicegate_service.requirements import Mismatch, compare, extras_of, requirements_in
from sluicegate_service.termination import write_termination_message
from sluicegate_service.wheels import versions, wheels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REASON = "RuntimeMismatch"
SERVICE_NOT_FOUND = "ServiceNotFound"
STATED_LABELS = {"hypothesis": 600, "author": 120, "ticket": 120, "git-revision": 64}
"""Labels of a bento that say what was tried with it, and the bytes of each that are left behind."""
DEPRECATED_LABEL = "deprecated-operations"
"""Label of a bento that lists deprecated operations, separated by commas: `POST /predict, POST /rank`."""


def installed_version(name: str) -> str | None:
    """Return the version of an installed distribution."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirements_of(name: str) -> Iterable[str]:
    """Return the requirements of an installed distribution."""
    try:
        return importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return ()


def mismatches(bento: Bento) -> list[Mismatch]:
    """Return the requirements of the bento that this Python doesn't meet, its own wheels included."""
    wheels = wheels_of(bento.folder)
    tags = frozenset(sys_tags())
    bundled = versions(wheels, tags)
    needed = [
        requirement for wheel in wheels if wheel.name in bundled for requirement in wheel.requires()
    ]
    requirements = requirements_in(bento)
    more = (*requirements.locked, *needed, *extras_of(requirements.direct, requirements_of))
    foreign = [
        Mismatch(wheel.name, f"a wheel for this Python ({wheel.path.name})", None)
        for wheel in wheels
        if wheel.name not in bundled
    ]
    missing = compare(
        replace(requirements, locked=more),
        lambda name: bundled.get(name) or installed_version(name),
    )
    return python_mismatch(bento) + foreign + missing


def python_mismatch(bento: Bento) -> list[Mismatch]:
    """Return a Mismatch if the bento was built for another minor version of Python."""
    if bento.python is None:
        return []
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    same_python = bento.python.split(".")[:2] == running.split(".")
    return [] if same_python else [Mismatch("python", bento.python, running)]


def misnamed_service(bento: Bento, expected: str) -> str:
    """Return a mistake of the entry service's name; empty if it is right, or none is set."""
    if expected in ("", bento.service):
        return ""
    other_services = [name for name in bento.services if name != bento.service]
    others_text = f" (beside it there are {', '.join(other_services)})" if other_services else ""
    return (
        f"{SERVICE_NOT_FOUND}: spec.model.bento.service is {expected}, and the bento's entry service"
        f" is {bento.service}{others_text}: set spec.model.bento.service to {bento.service}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bento in the folder; return 0 if it matches the runtime, 1 if not."""
    parser = argparse.ArgumentParser(prog="sluicegate_service.runtime_check")
    parser.add_argument("bento", type=Path, help="folder of the bento")
    folder: Path = parser.parse_args(arguments).bento
    try:
        bento = read_bento(folder)
        findings = mismatches(bento)
    except BentoInvalid as error:
        return _fail(f"{REASON}: {error}")
    if misnamed := misnamed_service(bento, os.environ.get(ENTRY_SERVICE, "")):
        return _fail(misnamed)
    if grave := [mismatch for mismatch in findings if not mismatch.tolerable]:
        mismatches_text = "; ".join(mismatch.describe() for mismatch in grave)
        return _fail(
            f"{REASON}: {mismatches_text}. Build the bento with the runtime image's versions"
            " (sluicegate runtime-constraints), or set serving.runtimeImage to one that fits"
            " (sluicegate runtime-image)"
        )
    for mismatch in findings:
        print(f"another patch release: {mismatch.describe()}", file=sys.stderr)  # noqa: T201
    labels = stated_labels(bento)
    bytes_left = MOST_BYTES - (len(json.dumps({"labels": labels})) if labels else 0)
    summary = summarise(folder, bytes_left, dict(bento.labels).get(DEPRECATED_LABEL, ""))
    if message := left_behind(summary, secret_lacks(), labels):
        write_termination_message(message)
    return 0


def secret_lacks() -> str:
    """Return the problem of the feedback Secret; empty if it is valid, or feedback is off.

    It doesn't prevent a version from serving: predictions don't depend on labels.
    """
    mounted = os.environ.get(FEEDBACK_DIRECTORY)
    return KeyFiles(Path(mounted)).lacks() if mounted else ""


def stated_labels(bento: Bento) -> dict[str, str]:
    """Return the labels that say what was tried with the bento, each within its bound."""
    labels = dict(bento.labels)
    return {
        name: labels[name].encode(errors="ignore")[:most_bytes].decode(errors="ignore")
        for name, most_bytes in STATED_LABELS.items()
        if labels.get(name)
    }


def left_behind(summary: str, lacks: str, labels: Mapping[str, str] | None = None) -> str:
    """Return the termination message of a matching bento: its API's summary, labels, and what feedback lacks."""
    more: dict[str, object] = {"feedback": lacks} if lacks else {}
    if labels:
        more["labels"] = labels
    if not more:
        return summary
    content = {**json.loads(summary or "{}"), **more}
    return json.dumps(content, separators=(",", ":"))


def _fail(message: str) -> int:
    write_termination_message(message)
    print(message, file=sys.stderr)  # noqa: T201 - the container's log
    return 1


if __name__ == "__main__":
    sys.exit(main())
