"""How an add-on gets into a cluster: its image, its objects, and the wait until it answers."""

from __future__ import annotations

import hashlib
import http
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.apiclient import Api, wait_until
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from cluster.backend import Backend

Manifest = Mapping[str, Any]
READY_SECONDS = 90
STATE = "sluicegate.dev/addon-state"
LABELS = {"app.kubernetes.io/managed-by": "sluicegate-cluster"}
SELECTOR = "app.kubernetes.io%2Fmanaged-by%3Dsluicegate-cluster"


class AddonError(ClusterError):
    """An add-on didn't become ready; the message has its pods' reasons."""


def nothing(_backend: Backend) -> None:
    """Do nothing: the step of an add-on that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One add-on: a Deployment with what it needs, and a URL that answers when it is ready.

    `answers_at` is empty where nothing of it is reached from the host.
    `conditions` are further waits, as arguments of `kubectl wait` in its namespace.
    `prepare` runs before the objects are applied, for what isn't an object of this add-on.
    `fingerprint` stands for what `prepare` does, in the comparison with what is installed.
    """

    name: str
    namespace: str
    objects: tuple[Manifest, ...]
    answers_at: str = ""
    conditions: tuple[str, ...] = ()
    prepare: Callable[[Backend], None] = nothing
    fingerprint: str = ""

    @property
    def state(self) -> str:
        """A hash of all that makes it what it is."""
        text = json.dumps([self.fingerprint, *self.objects], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def installed(backend: Backend) -> dict[str, str]:
    """Return the state of each add-on whose Deployment is available now, by name."""
    listing = Api(backend.kubeconfig).get(f"/apis/apps/v1/deployments?labelSelector={SELECTOR}")
    return {
        item["metadata"]["name"]: item["metadata"].get("annotations", {}).get(STATE, "")
        for item in listing["items"]
        if item.get("status", {}).get("availableReplicas")
    }


def ensure(backend: Backend, addon: Addon, states: Mapping[str, str]) -> bool:
    """Install `addon` unless `states` has it in the same state; return whether it was installed."""
    if states.get(addon.name) == addon.state:
        return False
    addon.prepare(backend)
    backend.apply(_list(addon.objects))
    _wait(backend, addon)
    mark = f"{STATE}={addon.state}"
    deployment = (f"--namespace={addon.namespace}", f"deployment/{addon.name}")
    backend.run_kubectl("annotate", "--overwrite", *deployment, mark)
    return True


def _list(objects: Iterable[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects]})


def _wait(backend: Backend, addon: Addon) -> None:
    namespace, limit = f"--namespace={addon.namespace}", f"--timeout={READY_SECONDS}s"
    patience = READY_SECONDS + 10
    try:
        backend.run_kubectl(
            "rollout", "status", f"deployment/{addon.name}", namespace, limit, timeout=patience
        )
        if addon.conditions:
            backend.run_kubectl("wait", *addon.conditions, namespace, limit, timeout=patience)
        if addon.answers_at:
            wait_until(
                lambda: _is_served(addon.answers_at),
                seconds=READY_SECONDS,
                failed=lambda: None,
                problem=f"{addon.answers_at} didn't answer",
            )
    except ClusterError as error:
        raise AddonError(f"{addon.name} isn't ready: {error}\n{_events(backend, addon)}") from error


def _is_served(url: str) -> bool:
    """Return whether a server answers; a gateway without routes answers 404 and is ready."""
    try:
        with urllib.request.urlopen(url, timeout=2.0):  # noqa: S310 - our own URL
            return True
    except urllib.error.HTTPError as error:
        return error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except OSError:
        return False


def _events(backend: Backend, addon: Addon) -> str:
    events = backend.run_kubectl(
        "get", "events", f"--namespace={addon.namespace}", "--sort-by=.lastTimestamp"
    )
    return "its last events:\n" + "\n".join(events.strip().splitlines()[-6:])
