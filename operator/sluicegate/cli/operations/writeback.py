"""`sluicegate writeback FILE`: writes the stable version into Git, as two changed lines."""

import argparse
import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.cli.inputs.object_name import parse_name
from sluicegate.cli.inputs.yaml_files import read_yaml
from sluicegate.cli.operations.manifest_edit import Edit, find_product, with_model
from sluicegate.errors import SluicegateError, invalid
from sluicegate.kube.resources import Key


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "files", metavar="FILE", nargs="+", type=Path, help="files of which one has it"
    )
    parser.add_argument("--product", required=True, metavar="NAME", help="NAMESPACE/NAME, or NAME")
    parser.add_argument(
        "--live",
        metavar="FILE",
        help="the live object as JSON or YAML; - is standard input (default: the API server's, by"
        " the kubeconfig)",
    )
    parser.add_argument(
        "--commit",
        action="store_true",
        help="commit it on a branch sluicegate/NAMESPACE-NAME-VERSION",
    )
    parser.add_argument("--push", metavar="REMOTE", help="also push that branch")
    add_access(parser)
    parser.epilog = (
        "Changes spec.model.bento.image and version, and no other byte. Does nothing if both"
        " agree, or if the file names a version that has no verdict yet."
    )


def run(args: argparse.Namespace) -> int:
    """Write status.stable into the file that holds the product."""
    key = parse_name(args.product, argument="--product")
    live = _read_status(args.live) if args.live else asyncio.run(product_of(key))
    edit = find_product(args.files, key)
    stable = (live.get("status") or {}).get("stable") or {}
    image, version = str(stable.get("image", "")), str(stable.get("version", ""))
    if obstacle := _why_not(edit, live, image):
        print(obstacle)
        return 0
    edit.path.write_bytes(with_model(edit, image, version))
    print(f"{edit.path}: {key} {edit.version.value} → {version}")
    if args.commit or args.push:
        branch = f"sluicegate/{key.namespace}-{key.name}-{version}"
        _commit(edit, key, live, branch)
        if args.push:
            _git(edit.path.parent, "push", args.push, f"{branch}:{branch}")
        print(f"committed on {branch}")
    return 0


def _why_not(edit: Edit, live: Mapping[str, Any], image: str) -> str:
    """Return why the file isn't changed; empty if it is."""
    status = live.get("status") or {}
    if not image:
        return "no version is stable yet: nothing to write"
    if "://" in image:
        raise invalid("status.stable.image", f"is {image}: only images by digest are written back")
    if edit.image.value == image:
        return f"{edit.path} names the stable version: nothing to write"
    judged_images = {str(past_version.get("image")) for past_version in status.get("history") or ()}
    judged_images.add(str((status.get("specModel") or {}).get("image")))
    candidate = str((status.get("candidate") or {}).get("image"))
    if edit.image.value == candidate or edit.image.value not in judged_images:
        return f"{edit.path} names {edit.version.value}, which has no verdict yet: it stays"
    return ""


def _read_status(file: str) -> dict[str, Any]:
    documents = read_yaml(file, argument="--live")
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise invalid(f"--live {file}", "holds no single object: give one DataProduct")
    return documents[0]


def _commit(edit: Edit, key: Key, live: Mapping[str, Any], branch: str) -> None:
    version, decision = live["status"]["stable"]["version"], _promotion(live["status"])
    reason = " ".join(str(decision.get("message", "")).split())
    decision_text = (
        f"{decision['type']} ({decision.get('reason', '')})"
        if decision
        else "not recorded in status"
    )
    message = f"{key}: {version} serves\n\nSluicegate-Decision: {decision_text}\n"
    if reason:
        message += f"Sluicegate-Evidence: {reason}\n"
    folder = edit.path.parent
    _git(folder, "switch", "--create", branch)
    _git(folder, "commit", "--quiet", "--message", message, "--", edit.path.name)


def _promotion(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the decision by which the stable version became stable; empty if status doesn't record it.

    A status of an earlier release has it as its last decision, until the next one is made.
    """
    if verdict := status["stable"].get("verdict"):
        return dict(verdict)
    last = status.get("decision") or {}
    kind = "Rollback" if status["stable"].get("restored") else "Promote"
    return dict(last) if last.get("type") == kind and not status.get("candidate") else {}


def _git(folder: Path, *arguments: str) -> None:
    completed = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if completed.returncode:
        error_text = (completed.stderr or completed.stdout).strip()
        raise SluicegateError(f"git {arguments[0]}: {error_text}")
