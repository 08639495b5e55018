"""The local node: a whole Kubernetes in a network namespace of this machine, without an engine.

Starting is a list of steps that each make what is missing. So the same steps serve a first start,
one that was interrupted, one after a component was killed, and one after an upgrade.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import cgroups, components, leftovers, network, node
from cluster.apiclient import Api, answers, listens, wait_until
from cluster.backend import LOCAL, Component
from cluster.builds import build_all, program
from cluster.cache import cache_folder, locked, write_atomically
from cluster.commands import run, system_environment
from cluster.errors import ClusterError, StartError, require_space
from cluster.identity import (
    Addresses,
    Identity,
    claim_addresses,
    claimed_addresses,
    refuse_foreign,
    release_addresses,
)
from cluster.loading import first_load
from cluster.prerequisites import cni_folder, require_node_prerequisites
from cluster.processes import Command, Processes
from cluster.versions import VERSIONS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cluster.images import BuiltImage

CONTROL_PLANE = (
    components.ETCD,
    components.API_SERVER,
    components.CONTROLLER_MANAGER,
    components.SCHEDULER,
)
NODE = (node.CONTAINERD, node.KUBE_PROXY, node.COREDNS, node.KUBELET)
COMPONENTS = (*CONTROL_PLANE, *NODE)
# The others are the API server's clients: they end when it goes away, or doesn't know its own
# rules yet, while they start. Where a kubelet or an init system minds them, that starts them again.
SERVERS = (components.ETCD, components.API_SERVER, node.CONTAINERD)
RESTARTS = 5
PROGRAMS = (*COMPONENTS, node.SHIM, "ctr", "kubectl")
API_PORT = 6443
READY_SECONDS = 120.0
# etcd and containerd's images without any add-on; measured 60 MiB.
SPACE_MIB = 300
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LocalNode:
    """The backend for machines without a container engine."""

    kind = LOCAL

    def __init__(self, identity: Identity) -> None:
        """Store the settings; nothing is started or built."""
        self._identity = identity
        self._clients: dict[str, Command] = {}
        self._restarts: Counter[str] = Counter()

    @property
    def identity(self) -> Identity:
        """The cluster's name and folders."""
        return self._identity

    @property
    def state(self) -> Path:
        """Folder of files that are deleted with the cluster."""
        return self._identity.state

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; absent while the cluster doesn't run."""
        return self._identity.kubeconfig

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        return program("kubectl")

    @property
    def node_address(self) -> str:
        """Where the node is reached from the host and from pods."""
        return str(self._addresses.node)

    def reached_at(self, port: int) -> str:
        """Return `host:port` at which this machine reaches a port of the node."""
        return f"{self.node_address}:{port}"

    @property
    def registry_hosts(self) -> Path:
        """Containerd's `config_path`."""
        return self.state / "node" / "registries"

    @cached_property
    def network(self) -> network.Network:
        """The namespace everything runs in."""
        return network.Network(self._identity, self._addresses)

    @cached_property
    def processes(self) -> Processes:
        """The programs, each entering the namespace."""
        return Processes(self.state, self.network.prefix)

    @cached_property
    def _addresses(self) -> Addresses:
        addresses = claimed_addresses(self._identity)
        if addresses is None:
            raise ClusterError(
                f"cluster {self._identity.name} doesn't run: start it with `python -m cluster up`"
            )
        return addresses

    def up(self) -> bool:
        """Start the cluster until its node is Ready; return False if it was running."""
        if self.is_ready():
            return False
        with locked(f"cluster-{self._identity.name}"):
            if self.is_ready():
                return False
            refuse_foreign(self._identity)
            require_node_prerequisites()
            require_space(self.state, SPACE_MIB, "start the cluster")
            programs = build_all(PROGRAMS)
            pause = built_image("pause")
            self._forget_earlier_boot()
            settings = self._prepare(programs, pause.reference)
            self._start(settings, pause)
            write_atomically(self.state / "versions.toml", VERSIONS_FILE.read_text())
        return True

    def down(self) -> None:
        """Remove the cluster and all that belongs to it.

        Raises
        ------
        ClusterError
            Something is left; the message names it.
        """
        with locked(f"cluster-{self._identity.name}"):
            refuse_foreign(self._identity)
            self._remove()

    def is_ready(self) -> bool:
        """Return whether everything runs, is of this version, and the node is Ready."""
        installed = self.state / "versions.toml"
        if claimed_addresses(self._identity) is None or not installed.exists():
            return False
        if installed.read_text() != VERSIONS_FILE.read_text():
            return False
        alive = all(self.processes.is_alive(name) for name in COMPONENTS)
        return alive and Api(self.kubeconfig).node_is_ready(node.NODE_NAME)

    def components(self) -> list[Component]:
        """Return the parts of the cluster and whether they run."""
        if claimed_addresses(self._identity) is None:
            return []
        others = [name for name in self.processes.names() if name not in COMPONENTS]
        return [self._component(name) for name in (*COMPONENTS, *others)]

    def provide_image(self, name: str) -> str:
        """Build an image without an engine, unless the cache has it, and load it."""
        image = built_image(name)
        self.load_image(image.archive)
        return image.pinned_reference

    def load_image(self, archive: Path) -> None:
        """Load the images of an OCI archive into the node, once for each archive."""
        with first_load(archive, self._identity) as is_first:
            if not is_first:
                return
            size = archive.stat().st_size // 1024**2
            # The archive is kept compressed or not, and unpacked beside that.
            require_space(self.state, 3 * size, f"load {archive.name}")
            # Read by ctr itself, layers that are there already are not sent to containerd again.
            self._ctr("images", "import", "--local", str(archive), timeout=300)

    def apply(self, manifest: str) -> None:
        """Apply YAML or JSON by server-side apply."""
        manager = "--field-manager=sluicegate-cluster"
        arguments = ("apply", "--server-side", "--force-conflicts", manager, "-f", "-")
        self.run_kubectl(*arguments, stdin=manifest)

    def run_kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Return the output of kubectl as administrator. Raises ClusterError."""
        command = (str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments)
        return run(*command, stdin=stdin, timeout=timeout)

    def shell(self) -> int:
        """Run a shell in the node's network with kubectl set up; return its exit code."""
        path = f"{self.kubectl.parent}:{system_environment()['PATH']}"
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}
        shell = os.environ.get("SHELL", "/bin/sh")
        return subprocess.run(
            [*self.network.prefix, shell], env=environment, check=False
        ).returncode

    def _prepare(self, programs: dict[str, Path], pause: str) -> node.NodeSettings:
        """Return addresses, namespace, cgroup, certificates and files."""
        addresses = claim_addresses(self._identity, network.blocks_in_use())
        plugins = cni_folder()
        assert plugins is not None, "prerequisites were checked"
        control_plane = components.ControlPlaneSettings(
            folder=self.state,
            listening=components.Listening(str(addresses.node), API_PORT),
            programs=programs,
            services=str(addresses.services),
            pods=str(addresses.pods),
            api_service=str(addresses.api_service),
            has_node=True,
        )
        if not self.network.is_complete():
            # Programs of an earlier start would stay in the namespace that is replaced.
            self.processes.stop_all(grace=0.0)
            leftovers.end_pods(self._identity)
        self.network.ensure()
        cgroups.make(self._identity.cgroup)
        control_plane.authority.ensure()
        control_plane.write_admin_kubeconfig(self.kubeconfig)
        settings = node.NodeSettings(
            self._identity, addresses, control_plane, programs, plugins, pause
        )
        node.write_node_files(settings)
        return settings

    def _start(self, settings: node.NodeSettings, pause: BuiltImage) -> None:
        plane, ensure = settings.control_plane, self.processes.ensure
        ensure(components.etcd_command(plane))
        ensure(components.api_server_command(plane))
        ensure(node.containerd_command(settings))
        self._wait(lambda: listens(settings.socket), "containerd did not listen")
        self.load_image(pause.archive)
        self._wait(Api(self.kubeconfig).is_ready, "the API server was not ready")
        self._clients = {
            command.name: command
            for command in (
                components.controller_manager_command(plane),
                components.scheduler_command(plane),
                node.kube_proxy_command(settings),
                node.kubelet_command(settings),
                node.coredns_command(settings),
            )
        }
        self.apply(json.dumps(node.DNS_RIGHTS))
        for command in self._clients.values():
            ensure(command)
        api = Api(self.kubeconfig)
        self._wait(lambda: api.node_is_ready(node.NODE_NAME), "the node was not Ready")
        self._wait(api.pods_can_be_made, "the controllers made no service account")
        names = f"http://{self.node_address}:{node.DNS_READY_PORT}/ready"
        self._wait(lambda: answers(names), "the cluster's DNS was not ready")

    def _wait(self, condition: Callable[[], bool], problem: str) -> None:
        wait_until(condition, seconds=READY_SECONDS, failed=self._ended, problem=problem)

    def _ended(self) -> Exception | None:
        for name in (*SERVERS, *self._clients):
            if self.processes.find(name) is None or self.processes.is_alive(name):
                continue
            if name in SERVERS or self._restarts[name] == RESTARTS:
                return self.processes.failure(name, "ended while the cluster started")
            self._restarts[name] += 1
            self.processes.ensure(self._clients[name])
        return None

    def _component(self, name: str) -> Component:
        process = self.processes.find(name)
        alive = process is not None and process.is_alive()
        memory = resident_memory(process.pid) if process and alive else None
        command = ("tail", "--lines=+1", str(self.processes.log(name)))
        return Component(name, alive, memory, command)

    def _ctr(self, *arguments: str, timeout: float = 60) -> str:
        socket = self._identity.run / "containerd.sock"
        command = (str(program("ctr")), f"--address={socket}", "--namespace=k8s.io")
        return run(*command, *arguments, timeout=timeout)

    def _forget_earlier_boot(self) -> None:
        """Delete the state of an earlier boot, as etcd's data can't be trusted after a restart of the machine."""
        mark, boot = self.state / "boot-id", BOOT_ID.read_text()
        if self.state.exists() and (not mark.exists() or mark.read_text() != boot):
            self._remove()
        write_atomically(mark, boot)

    def _remove(self) -> None:
        Processes(self.state).stop_all(grace=0.0)
        leftovers.end_pods(self._identity)
        leftovers.unmount_below(self.state, self._identity.run)
        network.remove_namespace(self._identity)
        leftovers.remove_log_links(self.state)
        release_addresses(self._identity)
        for folder in (self._identity.run, self.state):
            shutil.rmtree(folder, ignore_errors=True)
        self.__dict__.pop("network", None)
        self.__dict__.pop("processes", None)
        self.__dict__.pop("_addresses", None)
        remaining = leftovers.remains_of(self._identity)
        if remaining:
            raise StartError(f"the cluster is down, but this is left: {'; '.join(remaining)}")


def resident_memory(pid: int) -> int | None:
    """Return resident memory of a process in MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line[:6] == "VmRSS:"), None)


def built_image(name: str) -> BuiltImage:
    """Return an image of `cluster/images`, made unless the cache has it."""
    from cluster.images import build, describe  # noqa: PLC0415 - `status` doesn't need it

    return build(describe(name), cache=cache_folder(), program=program)
