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
    """Return Helm's rendered manifests for these arguments, cached for all tests."""
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
    return {
        variable["name"]: variable.get("value", "here") for variable in container.get("env", ())
    }


def volumes_of(name: str, objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the volumes that the container of this name mounts, by their place."""
    container, pod = container_of(name, objects)
    volumes = {volume["name"]: volume for volume in pod.get("volumes", ())}
    return {
        volume_mount["mountPath"]: volumes[volume_mount["name"]]
        for volume_mount in container.get("volumeMounts", ())
    }


def container_of(name: str, objects: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the container of this name, and the spec of its pod."""
    pods = [pod_of(obj)["spec"] for obj in objects if obj["kind"] in {"Deployment", "CronJob"}]
    ((container, pod),) = (
        (container, pod)
        for pod in pods
        for container in pod["containers"]
        if container["name"] == name
    )
    return container, pod


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a workload's pods."""
    spec = workload["spec"]
    template: dict[str, Any] = spec.get("jobTemplate", {}).get("spec", spec)["template"]
    return template
