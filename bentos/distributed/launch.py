# ruff: noqa: INP001 - run by its name, from the folder that is a bento's `src`
"""`python -m launch FILE --results FOLDER`: train on several nodes from the Job of a training.

The file has a TrainJob of Kubeflow Trainer or a RayJob of KubeRay. It is created for this pod, and
deleted with it; the Job waits until it ends, and ends as it does.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from kubernetes import client, config
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 30
GONE: Final = 404
EXISTS: Final = 409
SERVER_ERRORS: Final = 500
TOO_MANY: Final = 429
PASSED_ON: Final = ("NAMESPACE", "PRODUCT", "VERSION", "TRIGGER", "ATTEMPT", "OUTPUT")
"""Variables of the Job, after SLUICEGATE_, that the nodes get too."""
RUN: Final = "TRAINING_RUN"
"""Variable of the nodes: the name of the TrainJob or RayJob, and of its folder of results."""


class LaunchError(Exception):
    """The training on several nodes failed; the message has the reason."""


@dataclass(frozen=True)
class Progress:
    """What the status of a TrainJob or a RayJob says."""

    text: str
    ended: bool = False
    failed: bool = False


def trainjob_progress(status: Mapping[str, Any]) -> Progress:
    """Return the progress of a TrainJob, from its conditions and the counts of its Jobs."""
    present = {one["type"]: one for one in status.get("conditions", ()) if one["status"] == "True"}
    if failed := present.get("Failed"):
        return Progress(f"failed: {failed['reason']}: {failed['message']}", ended=True, failed=True)
    if complete := present.get("Complete"):
        return Progress(f"is complete: {complete['message']}", ended=True)
    if suspended := present.get("Suspended"):
        return Progress(f"is suspended: {suspended['message']}")
    counts = (
        f"{one['name']} {one['active']} active, {one['succeeded']} succeeded, {one['failed']} failed"
        for one in status.get("jobsStatus", ())
    )
    return Progress("; ".join(counts) or "is under way")


def rayjob_progress(status: Mapping[str, Any]) -> Progress:
    """Return the progress of a RayJob, from the state of its cluster and that of its program."""
    cluster, job = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
    text = ", ".join(part for part in (cluster, job) if part) or "has no cluster yet"
    if cluster not in {"Complete", "Failed"}:
        return Progress(text)
    if job == "SUCCEEDED":
        return Progress(f"is complete: {status.get('message', '')}", ended=True)
    reason = status.get("reason") or job or cluster
    return Progress(f"failed: {reason}: {status.get('message', '')}", ended=True, failed=True)


def with_trainjob_variables(spec: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of a TrainJob whose nodes have these variables too."""
    trainer = spec.get("trainer", {})
    added = [{"name": name, "value": value} for name, value in variables.items()]
    return spec | {"trainer": trainer | {"env": [*trainer.get("env", ()), *added]}}


def with_rayjob_variables(spec: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the spec of a RayJob whose program and workers have these variables too."""
    environment = yaml.safe_load(spec.get("runtimeEnvYAML", "")) or {}
    environment["env_vars"] = {**environment.get("env_vars", {}), **variables}
    return spec | {"runtimeEnvYAML": yaml.safe_dump(environment)}


@dataclass(frozen=True)
class Kind:
    """How one kind is created and read."""

    plural: str
    progress: Callable[[Mapping[str, Any]], Progress]
    with_variables: Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]]


KINDS: Final = {
    "TrainJob": Kind("trainjobs", trainjob_progress, with_trainjob_variables),
    "RayJob": Kind("rayjobs", rayjob_progress, with_rayjob_variables),
}


def launch(body: dict[str, Any], environment: Mapping[str, str] = os.environ) -> str:
    """Create a TrainJob or RayJob, wait until it is complete, and return its name.

    It belongs to this pod: Kubernetes deletes it with the pod, and it is deleted at once if this
    process is asked to end. One that ended by itself is kept with the pod, for its logs.

    Raises
    ------
    LaunchError
        It failed, it was deleted, or the API server refuses it.
    """
    signal.signal(signal.SIGTERM, _end)
    config.load_config()  # type: ignore[no-untyped-call]
    api = client.CustomObjectsApi()
    kind = KINDS.get(body["kind"])
    if kind is None:
        raise LaunchError(f"kind {body['kind']!r} is not supported: write {' or '.join(KINDS)}")
    manifest = owned(body, kind, environment)
    meta = manifest["metadata"]
    group, version = manifest["apiVersion"].split("/")
    place = (group, version, meta["namespace"], kind.plural)
    try:
        _create(api, place, manifest)
        _wait(api, (*place, meta["name"]), manifest["kind"], kind.progress)
    except LaunchError:
        raise
    except BaseException:  # SIGTERM too: the Job was deleted, pre-empted, or is over its deadline
        api.delete_namespaced_custom_object(*place, meta["name"], _request_timeout=REQUEST_SECONDS)
        raise
    name: str = meta["name"]
    return name


def owned(body: dict[str, Any], kind: Kind, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the manifest with a name of this pod's own, the pod as its owner, and the Job's variables."""
    missing = [
        name for name in ("POD_NAME", "POD_UID", "SLUICEGATE_NAMESPACE") if name not in environment
    ]
    if missing:
        raise LaunchError(
            f"{', '.join(missing)} are not set: set them by fieldRef, as in dataproduct.yaml"
        )
    uid = environment["POD_UID"]
    name = f"{body['metadata']['name']}-{uid[:8]}"
    owner = {"apiVersion": "v1", "kind": "Pod", "name": environment["POD_NAME"], "uid": uid}
    names = [f"SLUICEGATE_{name}" for name in PASSED_ON]
    variables = {name: environment[name] for name in names if name in environment}
    meta = body["metadata"] | {
        "namespace": environment["SLUICEGATE_NAMESPACE"],
        "name": name,
        "ownerReferences": [owner],
    }
    spec = kind.with_variables(body["spec"], variables | {RUN: name})
    return body | {"metadata": meta, "spec": spec}


def _create(
    api: client.CustomObjectsApi, place: tuple[str, str, str, str], manifest: dict[str, Any]
) -> None:
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        api.create_namespaced_custom_object(*place, manifest, _request_timeout=REQUEST_SECONDS)
    except client.ApiException as error:
        if error.status != EXISTS:
            raise LaunchError(f"{name} is refused: {error.body or error.reason}") from error
    _log_line(f"{name} is created")


def _wait(
    api: client.CustomObjectsApi,
    place: tuple[str, str, str, str, str],
    kind: str,
    progress: Callable[[Mapping[str, Any]], Progress],
) -> None:
    """Return when it is complete, with a line of the log for each change of its progress.

    The deadline is that of the Job.
    """
    name, last = f"{kind} {place[-1]}", ""
    while True:
        try:
            body: Any = api.get_namespaced_custom_object(*place, _request_timeout=REQUEST_SECONDS)
        except client.ApiException as error:
            if error.status == GONE:
                raise LaunchError(f"{name} was deleted before its end") from error
            if error.status < SERVER_ERRORS and error.status != TOO_MANY:
                raise LaunchError(f"{name} can't be read: {error.body or error.reason}") from error
            current = Progress(f"is not known: the API server answers {error.status}")
        except HTTPError as error:
            current = Progress(f"is not known: {error}")
        else:
            current = progress(body.get("status", {}))
        if current.failed:
            raise LaunchError(f"{name} {current.text}")
        if current.text != last:
            _log_line(f"{name} {current.text}")
            last = current.text
        if current.ended:
            return
        time.sleep(POLL_SECONDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a training and hand its result over; return 0, or 1 with the reason as the last line."""
    parser = argparse.ArgumentParser(prog="launch", description="Train on several nodes.")
    parser.add_argument("file", type=Path, help="YAML of a TrainJob or a RayJob")
    parser.add_argument(
        "--results", type=Path, required=True,
        help=f"folder that the nodes share; one of them writes ${RUN}/result.json in it",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        run = launch(yaml.safe_load(options.file.read_text()))
        result = options.results / run / "result.json"
        message = result.read_text()
    except LaunchError as error:
        print(f"training failed: {error}", file=sys.stderr)  # noqa: T201 - the Job's last line
        return 1
    except OSError as error:
        print(f"training failed: it left no result: {error}", file=sys.stderr)  # noqa: T201
        return 1
    Path(os.environ.get("SLUICEGATE_TERMINATION_LOG", "/dev/termination-log")).write_text(message)
    return 0


def _end(number: int, frame: object) -> None:
    """End the process, after `launch` has deleted what it created."""
    del frame
    raise SystemExit(128 + number)


def _log_line(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a Job's log


if __name__ == "__main__":
    sys.exit(main())
