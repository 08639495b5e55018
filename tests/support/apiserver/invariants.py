"""Invariants under faults, read from the API server's audit log and the live objects.

No version is lost, nothing is decided without data, the stable version is never without pods, and
the operator's process never ends. The audit log has every state that was ever stored, so a
moment that no one observed counts too. Of nothing anything holds, so each check asks that there
was something to break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluicegate.api import names
from tests.support.apiserver.audit import audited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cluster.controlplane import ControlPlane
    from tests.support.failures.replicas import Replica

Object = dict[str, Any]

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources:
  - {group: apps, resources: [deployments, deployments/status]}
  - {group: batch, resources: [jobs]}
  - {group: gateway.networking.k8s.io, resources: [httproutes]}
  - {group: sluicegate.dev, resources: [dataproducts, dataproducts/status]}
- level: Metadata
"""


@dataclass(frozen=True, slots=True)
class State:
    """An object as a write left it, and by whom."""

    at: str
    user: str
    verb: str
    kind: str
    name: str
    body: Object

    @property
    def status(self) -> Object:
        """The object's; a deletion is answered with a Status object instead."""
        status = self.body.get("status")
        return status if isinstance(status, dict) else {}


def stored_states(plane: ControlPlane, namespace: str) -> list[State]:
    """Return the states of a namespace's objects in the order in which they were stored."""
    states = []
    for entry in audited(plane.audit_log, namespace):
        body = entry.get("responseObject")
        ref = entry.get("objectRef") or {}
        if (
            body is None
            or ref.get("namespace") != namespace
            or entry["responseStatus"].get("code", 0) >= 300
            or "dryRun" in entry["requestURI"]
        ):
            continue
        name = ref.get("name") or body.get("metadata", {}).get("name", "")
        states.append(
            State(
                entry["stageTimestamp"],
                entry["user"].get("username", ""),
                entry["verb"],
                ref["resource"],
                name,
                body,
            )
        )
    return sorted(states, key=lambda state: state.at)


def statuses(states: list[State]) -> Iterator[tuple[State, Object]]:
    """Yield the states of products from the first with a stable version on, with their status."""
    served: set[str] = set()
    for state in states:
        if state.kind != names.PLURAL or state.verb == "delete":
            continue
        status = state.status
        if status.get("stable"):
            served.add(state.name)
        if state.name in served:
            yield state, status


@dataclass(frozen=True, slots=True)
class Promises:
    """The promises of one namespace's operator."""

    plane: ControlPlane
    namespace: str
    replica: Replica

    def check(self) -> list[State]:
        """Check those that hold in every test; the states by which they did."""
        self.process_never_ended()
        states = stored_states(self.plane, self.namespace)
        no_version_was_lost(states)
        stable_always_had_pods(states)
        return states

    def check_without_data(self) -> None:
        """Check those that hold while nothing is measured, too."""
        nothing_was_decided(self.check())

    def process_never_ended(self) -> None:
        code = self.replica.process.poll()
        assert code is None, f"the operator ended with {code}; {self.replica.tail()}"


def no_version_was_lost(states: list[State]) -> None:
    """Assert that each version that was ever stable stays in the product's status."""
    stable_versions: dict[str, set[str]] = {}
    for state, status in statuses(states):
        stable = status.get("stable")
        assert stable, f"{state.at}: {state.name} has no stable version any more: {state.body}"
        kept = {
            stable["image"],
            *(past_version["image"] for past_version in status.get("history", ())),
        }
        lost = stable_versions.setdefault(state.name, set()) - kept
        assert not lost, f"{state.at}: {state.name} lost {lost}: {status}"
        stable_versions[state.name].add(stable["image"])
    assert stable_versions, "no version was ever stable, so none could be lost"


def stable_always_had_pods(states: list[State]) -> None:
    """Assert that a Deployment had ready pods from the time its version was stable and ready."""
    stable: dict[str, str] = {}  # Deployment by product
    ready: dict[str, int] = {}  # pods by Deployment
    served: set[str] = set()
    for state in states:
        deleted = state.verb == "delete"
        if state.kind == names.PLURAL and state.status.get("stable"):
            stable[state.name] = f"{state.name}-{state.status['stable']['revision']}"
        if state.kind == names.PLURAL and deleted:
            stable.pop(state.name, None)  # a person's wish; its children go with it
        if state.kind == "deployments":
            ready[state.name] = 0 if deleted else state.status.get("readyReplicas", 0)
        now = {name for name in stable.values() if ready.get(name)}
        without = served & set(stable.values()) - now
        assert not without, f"{state.at}: {state.user} left {without} without pods"
        served |= now
    assert served, "no stable version ever had pods that it could lose"


def nothing_was_decided(states: list[State]) -> None:
    """Assert that stable stays and weights don't rise: no training, no promotion, no canary step."""
    trainings = [state for state in states if state.kind == "jobs" and state.verb == "create"]
    assert not trainings, f"a training was started without data: {trainings}"
    first: dict[str, str] = {}
    weights: dict[str, int] = {}
    for state, status in statuses(states):
        version = status["stable"]["version"]
        assert first.setdefault(state.name, version) == version, f"{state.at}: promoted: {status}"
        weight = (status.get("candidate") or {}).get("weight", 0)
        before = weights.get(state.name)
        assert not before or weight <= before, f"{state.at}: advanced: {status}"
        weights[state.name] = weight
    assert first, "no version was ever stable, so there was nothing to decide"
