"""Objects that Helm renders from the chart, without a cluster."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cluster.builds import program

CHART = Path(__file__).resolve().parents[3] / "charts" / "sluicegate"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    return subprocess.run(
        [str(program("helm")), *arguments], capture_output=True, text=True, check=False
    )


@cache
def template(*arguments: str) -> str:
    """Return what Helm writes for these arguments, once for all tests."""
    done = helm("template", "sluicegate", str(CHART), "--namespace", "sluicegate", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(*arguments: str) -> list[dict[str, Any]]:
    """Return the objects that Helm writes for these arguments."""
    return [one for one in yaml.load_all(template(*arguments), yaml.CSafeLoader) if one]


def refusal(*arguments: str) -> str:
    """Return why Helm renders nothing."""
    done = helm("template", "sluicegate", str(CHART), *arguments)
    assert done.returncode != 0, "the values are accepted"
    return done.stderr


def environment_of(name: str, objects: list[dict[str, Any]]) -> dict[str, str]:
    """Return the variables of the container of this name."""
    container, _ = container_of(name, objects)
    return {one["name"]: one.get("value", "here") for one in container.get("env", ())}


def volumes_of(name: str, objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the volumes that the container of this name mounts, by their place."""
    container, pod = container_of(name, objects)
    volumes = {one["name"]: one for one in pod.get("volumes", ())}
    return {one["mountPath"]: volumes[one["name"]] for one in container.get("volumeMounts", ())}


def container_of(name: str, objects: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the container of this name, and the spec of its pod."""
    pods = [pod_of(one)["spec"] for one in objects if one["kind"] in {"Deployment", "CronJob"}]
    ((container, pod),) = (
        (one, pod) for pod in pods for one in pod["containers"] if one["name"] == name
    )
    return container, pod


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a workload's pods."""
    spec = workload["spec"]
    template: dict[str, Any] = spec.get("jobTemplate", {}).get("spec", spec)["template"]
    return template
