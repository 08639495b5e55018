"""A control plane without a node: for API tests and benchmarks, several side by side.

::

    with ControlPlane(Options(audit=True)) as control_plane:
        control_plane.kubectl("apply", "-f", "crds/")
        control_plane.stop("kube-apiserver")
        control_plane.start("kube-apiserver")  # on the same port, with the same data
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import components
from cluster.apiclient import Api, answers, wait_until
from cluster.builds import build_all
from cluster.commands import run
from cluster.ports import free_ports
from cluster.processes import Command, Processes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

READY_SECONDS = 60.0
SERVERS = (components.ETCD, components.API_SERVER)
PROGRAMS = (
    *SERVERS,
    components.CONTROLLER_MANAGER,
    components.SCHEDULER,
    "kubectl",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a control plane consists of and what is special about it.

    `address` is one of this machine's, at which the API server listens.
    """

    controller_manager: bool = True
    scheduler: bool = True
    fake_nodes: int = 0
    audit: bool = False
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    address: str = "127.0.0.1"
    # Arguments added to a program's command line, by its name.
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ControlPlane:
    """A context manager that runs etcd and the API server with these options.

    The programs are ended by the kernel if the thread that entered it dies, so a killed test
    run leaves none behind.
    """

    def __init__(self, options: Options | None = None) -> None:
        """Store the settings; entering the context starts the programs."""
        self.options = options or Options()
        self._stack = ExitStack()
        self._commands: dict[str, Command] = {}

    def __enter__(self) -> Self:
        """Start everything and wait until the API server is ready."""
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="sluicegate-control-plane-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            ports = stack.enter_context(free_ports(3))
            self._settings = self._make_settings(components.Listening(self.options.address, *ports))
            self._processes = Processes(self.folder, ("setpriv", "--pdeathsig", "KILL", "--"))
            stack.callback(self._processes.stop_all, grace=0.0)
            self._start_all()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End everything and remove its folder."""
        self._stack.close()

    @property
    def url(self) -> str:
        """The API server's URL; it stays the same across restarts."""
        return self._settings.listening.url

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line, a request each, if `Options.audit`."""
        return self.folder / "audit.log"

    def kubeconfig_for(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Return a kubeconfig for another user, to test permissions and owners of fields."""
        return self._settings.kubeconfig(user, groups)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output of kubectl as administrator."""
        path = str(self._settings.programs["kubectl"])
        return run(path, f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def log(self, name: str) -> Path:
        """Return a program's output."""
        return self._processes.log(name)

    def is_alive(self, name: str) -> bool:
        """Return whether a program runs."""
        return self._processes.is_alive(name)

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start a program that was stopped; with `wait`, until the API server is ready."""
        self._processes.ensure(self._commands[name])
        if wait:
            self.wait_until_ready()

    def stop(self, name: str, *, grace: float = 0.0) -> None:
        """End a program: at once, or after it had `grace` seconds to end by itself."""
        self._processes.stop(name, grace=grace)

    def restart(self, name: str) -> None:
        """End a program at once and start it again."""
        self.stop(name)
        self.start(name)

    def pause(self, name: str) -> None:
        """Stop a program as SIGSTOP does: its connections stay open without an answer."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused program go on."""
        self._signal(name, signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Wait until etcd and the API server report ready, and all programs run that weren't stopped.

        etcd is queried itself: the API server repeats its last answer for two seconds.
        """
        etcd, api_server = f"{self._settings.listening.etcd_url}/health", Api(self.kubeconfig)
        wait_until(
            lambda: answers(etcd) and api_server.is_ready(),
            seconds=READY_SECONDS,
            failed=lambda: self._ended(*SERVERS),
            problem="etcd and the API server were not ready",
        )
        # The controllers end when the API server goes away while they start; on a node the
        # kubelet would start them again.
        for name in self._processes.names():
            self._processes.ensure(self._commands[name])

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self._processes.find(name)
        if process:
            process.signal(number)

    def _make_settings(self, listening: components.Listening) -> components.ControlPlaneSettings:
        simulator = (components.KWOK,) if self.options.fake_nodes else ()
        programs = build_all((*PROGRAMS, *simulator))
        return components.ControlPlaneSettings(
            folder=self.folder,
            listening=listening,
            programs=programs,
            services="10.96.0.0/16",
            pods="10.88.0.0/16",
            api_service="10.96.0.1",
            audit_log=self.audit_log if self.options.audit else None,
            feature_gates=self.options.feature_gates,
            extra=self.options.extra,
        )

    def _start_all(self) -> None:
        settings = self._settings
        settings.authority.ensure()
        settings.write_admin_kubeconfig(self.kubeconfig)
        commands = [components.etcd_command(settings), components.api_server_command(settings)]
        if self.options.controller_manager:
            commands.append(components.controller_manager_command(settings))
        if self.options.scheduler:
            commands.append(components.scheduler_command(settings))
        if self.options.fake_nodes:
            commands.append(components.kwok_command(settings))
        self._commands = {command.name: command for command in commands}
        for name in SERVERS:
            self._processes.start(self._commands[name])
        self.wait_until_ready()
        for name, command in self._commands.items():
            if not self._processes.find(name):
                self._processes.start(command)
        self._add_fake_nodes()
        if self.options.controller_manager:
            # From here on they bear that the API server goes away; while they start they don't.
            wait_until(
                Api(self.kubeconfig).pods_can_be_made,
                seconds=READY_SECONDS,
                failed=lambda: self._ended(*self._commands),
                problem="the controllers made no service account",
            )

    def _add_fake_nodes(self) -> None:
        if self.options.fake_nodes:
            nodes = [components.fake_node(number) for number in range(self.options.fake_nodes)]
            listed = {"apiVersion": "v1", "kind": "List", "items": nodes}
            self.kubectl("create", "-f", "-", stdin=json.dumps(listed))

    def _ended(self, *names: str) -> Exception | None:
        for name in names:
            if self._processes.find(name) and not self._processes.is_alive(name):
                return self._processes.failure(name, "ended")
        return None
