"""Operator processes with a real API server, and their requests in its audit log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from itertools import groupby
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.error import HTTPError

from cluster.controlplane import ControlPlane, Options
from cluster.kinds import install_crds
from tests.support.apiserver.audit import audited
from tests.support.processes.line_reader import whole_lines
from tests.support.processes.running import free_port, start
from tests.support.waiting import eventually, took

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

AReplica = TypeVar("AReplica", bound="Replica")
ROOT = Path(__file__).resolve().parents[3]
WRITES = {"create", "update", "patch", "delete"}
# Short, to take over soon; the ratios and the fence's margin are as they ship.
QUICK_LEASE = {
    "SLUICEGATE_LEASE_DURATION_SECONDS": "10",
    "SLUICEGATE_LEASE_RENEW_SECONDS": "5",
    "SLUICEGATE_LEASE_RETRY_SECONDS": "0.5",
}
SHIPPED_LEASE = {
    "SLUICEGATE_LEASE_DURATION_SECONDS": "15",
    "SLUICEGATE_LEASE_RENEW_SECONDS": "10",
    "SLUICEGATE_LEASE_RETRY_SECONDS": "2",
}
TAKEOVER_SECONDS = 20.0
"""The bar for a leader that ends without a word, with the lease as it ships."""
STOP_SECONDS = 5.0
"""The bar for the end of a process after SIGTERM."""
HANDOVER_SECONDS = 3.0
"""The bar for a successor to lead when nothing hangs, from the signal on."""
ANSWER_SECONDS = 15.0
"""After which a process is taken to give no answer; its machine may be busy with others."""


class Replica:
    """One operator process, under a user of its own so that the audit log names it."""

    def __init__(
        self,
        plane: ControlPlane,
        name: str,
        folder: Path,
        *,
        extra: Mapping[str, str],
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        environment = {
            "KUBECONFIG": str(plane.kubeconfig_for(name, ("system:masters",))),
            "SLUICEGATE_POD_NAME": name,
            "SLUICEGATE_METRICS_PORT": str(self.port),
            "SLUICEGATE_LOG_LEVEL": "Info",
            **QUICK_LEASE,
            **extra,
        }
        command = [*prefix, sys.executable, "-m", "sluicegate", "run"]
        self.process = start(command, log=self.log, env=environment, cwd=ROOT)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of its own HTTP server; 0 when there is no answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, HTTPException) as error:
            return 0, repr(error)

    def metric(self, line: str) -> float:
        """Return the value of one line of its metrics, 0 when there is none and NaN without an answer."""
        status, text = self.get("/metrics")
        if not status:
            return nan
        samples = [one for one in text.splitlines() if one.startswith(f"{line} ")]
        return float(samples[0].split()[-1]) if samples else 0.0

    def leads(self) -> bool:
        return self.metric('leader_election_master_status{name="dataproduct"}') == 1

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def end(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(15)

    def wait(self, seconds: float = 30) -> int:
        eventually(
            lambda: self.process.poll() is not None, seconds=seconds, what=f"{self.name} ends"
        )
        return self.process.wait()

    def logged(self, message: str) -> datetime | None:
        """Return the time of the last such line in the log; None without one."""
        text = f'"message": "{message}"'.encode()
        lines = [whole_line for whole_line in whole_lines(self.log) if text in whole_line]
        return datetime.fromisoformat(json.loads(lines[-1])["ts"]) if lines else None

    def tail(self) -> str:
        return "its last lines:\n" + "\n".join(self.log.read_text().splitlines()[-30:])


def assert_stopped_in_time(replica: Replica) -> None:
    """Assert by its log that it ended in time."""
    seconds = between(replica.logged("stopping"), replica.logged("stopped"))
    took(seconds, STOP_SECONDS, f"the end of {replica.name}")


def assert_handed_over_in_time(leader: Replica, standby: Replica) -> None:
    """Assert by both logs that the standby led soon after the leader got SIGTERM."""
    seconds = between(leader.logged("stopping"), standby.logged("lease acquired"))
    took(seconds, HANDOVER_SECONDS, f"the handover to {standby.name}")


def between(first: datetime | None, second: datetime | None) -> float:
    """Return the seconds between two existing lines of logs."""
    assert first, "the first wasn't said"
    assert second, "the second wasn't said"
    return (second - first).total_seconds()


@contextlib.contextmanager
def replicas(
    plane: ControlPlane,
    folder: Path,
    *names: str,
    extra: Mapping[str, str],
    ready: bool = True,
) -> Iterator[list[Replica]]:
    """Yield operators for the length of a block; their last lines are printed when it fails."""
    starting = (Replica(plane, name, folder, extra=extra) for name in names)
    with ready_in_turn(starting, ready=ready) as started:
        yield started


START_SECONDS = 60.0
_STARTS = threading.Semaphore(2)
"""A start is seconds of CPU: where a test has an operator in each of sixteen threads, all would be
ready late if they started at once, and other tests run beside them."""


@contextlib.contextmanager
def ready_in_turn(starting: Iterable[AReplica], *, ready: bool = True) -> Iterator[list[AReplica]]:
    """Yield replicas for the length of a block, the next started when the one before is ready.

    Without `ready` none is waited for.
    """
    started: list[AReplica] = []
    waiting = iter(starting)
    try:
        while True:
            with _STARTS:
                if (replica := next(waiting, None)) is None:
                    break
                started.append(replica)
                if ready:
                    eventually(
                        replica.is_ready, seconds=START_SECONDS, what=f"{replica.name} ready"
                    )
        yield started
    except BaseException:
        for replica in started:
            print(replica.name, replica.tail())
        raise
    finally:
        for replica in started:
            replica.end()


@contextlib.contextmanager
def quiet_control_plane() -> Iterator[ControlPlane]:
    """Yield an etcd and an API server with our kinds; nothing else runs, so each write is known."""
    options = Options(audit=True, controller_manager=False, scheduler=False)
    with ControlPlane(options) as started:
        install_crds(started)
        yield started


def stop_api_server(plane: ControlPlane) -> None:
    """End it at once, and wait until its port can be listened on again."""
    plane.stop("kube-apiserver")
    listening = plane._settings.listening

    def listen() -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((listening.address, listening.port))

    eventually(succeeds(listen, OSError), what="the API server's port is free")


def succeeds(attempt: Callable[[], object], *expected: type[Exception]) -> Callable[[], bool]:
    """Return whether an attempt ends without one of the expected errors."""

    def holds() -> bool:
        try:
            attempt()
        except expected:
            return False
        return True

    return holds


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the API server answered, as it saw it."""

    user: str
    verb: str
    resource: str
    target: str
    at: str
    code: int

    @property
    def is_stored(self) -> bool:
        return self.code < 300

    @property
    def may_be_stored(self) -> bool:
        """Also what was answered with a 504: the request is cancelled, and its write may be stored."""
        return self.is_stored or self.code >= 500


def audited_writes(plane: ControlPlane, users: Iterable[str]) -> list[Write]:
    """Return the successful writes of these users, in the order in which they were stored."""
    return [
        attempted_write
        for attempted_write in attempted_writes(plane, users)
        if attempted_write.is_stored
    ]


def attempted_writes(plane: ControlPlane, users: Iterable[str]) -> list[Write]:
    """Return the writes of these users with any answer, in the order of the answers.

    Without dry runs.
    """
    desired = set(users)
    return sorted(
        (
            write_of(entry)
            for entry in audited(plane.audit_log, *desired)
            if entry["user"].get("username") in desired
            and entry["verb"] in WRITES
            and entry["stage"] == "ResponseComplete"
            and "dryRun" not in entry["requestURI"]
        ),
        key=lambda write: write.at,
    )


def write_of(entry: Mapping[str, Any]) -> Write:
    ref, code = entry["objectRef"], entry["responseStatus"]["code"]
    target = f"{ref['resource']}/{ref.get('namespace', '')}/{ref.get('name', '')}"
    user, time = entry["user"]["username"], entry["stageTimestamp"]
    return Write(user, entry["verb"], ref["resource"], target, time, code)


def writers_by_object(writes: Iterable[Write], resource: str) -> dict[str, list[str]]:
    """Return the writers of each object in order; consecutive writes of a writer count once."""
    ordered = sorted(
        (write for write in writes if write.resource == resource), key=lambda write: write.target
    )
    return {
        target: [
            user for user, _ in groupby(sorted(group, key=lambda one: one.at), lambda one: one.user)
        ]
        for target, group in groupby(ordered, lambda one: one.target)
    }


def orders(first: str, second: str) -> set[tuple[str, ...]]:
    """Return the possible orders of writers, if the first never followed the second."""
    return {(first,), (second,), (first, second)}


def product(namespace: str, name: str, *, version: str = "v1") -> dict[str, Any]:
    """Return a small valid DataProduct."""
    image = f"registry.example/bentos/{name}@sha256:{'a' * 64}"
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "owner": "group:default/catalog",
            "model": {"bento": {"image": image, "version": version, "service": "Service"}},
        },
    }


def apply(plane: ControlPlane, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))


def read(plane: ControlPlane, *arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(plane.kubectl("get", *arguments, "-o", "json"))[
        "items"
    ]
    return items
