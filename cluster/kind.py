"""The kind backend, for machines where a Docker engine answers.

The same node image, ports and registry folder as `kind-config.yaml` has; what is done here can
be done by hand with `kind` and `docker`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cluster.apiclient import wait_until
from cluster.backend import KIND, Component
from cluster.builds import program
from cluster.cache import locked
from cluster.commands import run, succeeds
from cluster.errors import ClusterError, MissingPrerequisiteError
from cluster.identity import CHECKOUT, Identity
from cluster.kind_requests import lower_system_requests, write_patches
from cluster.loading import first_load, forget_loads

CONFIGURATION = CHECKOUT / "kind-config.yaml"
NODE_IMAGE_VARIABLE = "SLUICEGATE_NODE_IMAGE"
START_SECONDS = 600.0
READY_SECONDS = 120.0
NODE_ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
NODE_FOLDER = "/run/sluicegate"


class KindCluster:
    """The backend for machines with a Docker engine."""

    kind = KIND

    def __init__(self, identity: Identity) -> None:
        """Nothing is started here."""
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """The cluster's name and folders."""
        return self._identity

    @property
    def node(self) -> str:
        """The node's name, which is its container's."""
        return f"{self._identity.name}-control-plane"

    @property
    def state(self) -> Path:
        """Folder for what lives as long as the cluster."""
        return self._identity.state

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; absent while the cluster doesn't run."""
        return self._identity.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The node's own, which is static; one on PATH where that doesn't run."""
        own = self.state / "kubectl"
        if sys.platform != "linux":
            return _found_or_built("kubectl")
        if not own.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            self._docker("cp", f"{self.node}:/usr/bin/kubectl", str(own))
        return own

    @property
    def node_address(self) -> str:
        """The node's address in Docker's network; a host reaches it where Docker runs natively."""
        return self._docker("inspect", "--format", NODE_ADDRESS, self.node).strip()

    @property
    def registry_hosts(self) -> Path:
        """Mounted into the node as containerd's `config_path`."""
        return self.state / "registries"

    def up(self) -> bool:
        """Create the cluster; False if it is there and Ready."""
        if self.is_ready():
            return False
        with locked(f"cluster-{self._identity.name}"):
            require_engine()
            self.registry_hosts.mkdir(parents=True, exist_ok=True)
            there = self._identity.name in self._kind("get", "clusters").split()
            if there and not self._created.exists():
                # A start that was interrupted left half a control plane, which nothing completes.
                self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}", *self._name)
                there = False
            if there:
                self._docker("start", self.node)
                self._kind("export", "kubeconfig", f"--kubeconfig={self.kubeconfig}", *self._name)
            else:
                self._create()
            # `kubectl wait` fails at once while the API server doesn't listen yet.
            wait_until(
                self.is_ready,
                seconds=READY_SECONDS,
                failed=lambda: None,
                what=f"the node {self.node} was not Ready",
            )
        return True

    def down(self) -> None:
        """Delete the cluster and its folder."""
        with locked(f"cluster-{self._identity.name}"):
            self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}", *self._name)
            shutil.rmtree(self.state, ignore_errors=True)

    def is_ready(self) -> bool:
        """Whether the cluster was created whole, and the node reports Ready."""
        if not (self.kubeconfig.exists() and self._created.exists()):
            return False
        ask = ("get", "node", self.node, "--request-timeout=2s", "-o")
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        try:
            return self.run_kubectl(*ask, ready) == "True"
        except ClusterError:
            return False

    def components(self) -> list[Component]:
        """The node's container; what runs inside is kind's."""
        running = succeeds("docker", "top", self.node)
        return [Component(self.node, running)]

    def load_image(self, archive: Path) -> None:
        """Make the images of an OCI archive known to the node; once an archive, whoever asks."""
        with first_load(archive, self._identity) as wanted:
            if wanted:
                self._kind("load", "image-archive", str(archive), *self._name)

    def has_image(self, reference: str) -> bool:
        """Whether the node knows an image by this reference."""
        listed = self._on_node("ctr", "--namespace=k8s.io", "images", "list", "--quiet")
        return reference in listed.splitlines()

    def apply(self, manifest: str) -> None:
        """Apply YAML or JSON by server-side apply."""
        manager = "--field-manager=sluicegate-cluster"
        arguments = ("apply", "--server-side", "--force-conflicts", manager, "-f", "-")
        self.run_kubectl(*arguments, stdin=manifest)

    def run_kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Output of kubectl as administrator; ClusterError if it fails."""
        command = (str(self.kubectl), f"--kubeconfig={self.kubeconfig}", *arguments)
        return run(*command, stdin=stdin, timeout=timeout)

    def start_on_node(self, name: str, *command: str) -> None:
        """Copy a static program to the node and run it there; `down` ends it."""
        target = f"{NODE_FOLDER}/{name}"
        if succeeds("docker", "exec", self.node, "pgrep", "-f", f"^{target} "):
            return
        self._on_node("mkdir", "-p", NODE_FOLDER)
        self._docker("cp", command[0], f"{self.node}:{target}")
        self._docker("exec", "--detach", self.node, target, *command[1:])

    def stop_on_node(self, name: str) -> None:
        """End what `start_on_node` started."""
        succeeds("docker", "exec", self.node, "pkill", "-f", f"^{NODE_FOLDER}/{name} ")

    def shell(self) -> int:
        """A shell on the node, where kubectl is set up; its exit code."""
        command = ["docker", "exec", "--interactive", "--tty", self.node, "bash"]
        return subprocess.run(command, check=False).returncode

    @property
    def _created(self) -> Path:
        """Marks a cluster whose creation ended well."""
        return self.state / "created"

    @property
    def _name(self) -> tuple[str, str]:
        return ("--name", self._identity.name)

    def _create(self) -> None:
        self._created.unlink(missing_ok=True)
        forget_loads(self._identity)
        write_patches(self.state)
        self._kind(
            *("create", "cluster", f"--config={CONFIGURATION}", *_node_image()),
            *(f"--kubeconfig={self.kubeconfig}", *self._name),
        )
        lower_system_requests(self.run_kubectl)
        self._created.touch()

    def _kind(self, *arguments: str) -> str:
        # Relative host paths in the configuration are the cluster's own folder's.
        self.state.mkdir(parents=True, exist_ok=True)
        command = (str(_found_or_built("kind")), *arguments)
        return run(*command, timeout=START_SECONDS, folder=self.state)

    def _docker(self, *arguments: str) -> str:
        return run("docker", *arguments)

    def _on_node(self, *command: str) -> str:
        return self._docker("exec", self.node, *command)


def require_engine() -> None:
    """Raise `MissingPrerequisiteError` unless a Docker engine answers."""
    if not succeeds("docker", "version"):
        raise MissingPrerequisiteError(
            "no Docker engine answers: start it, or use the local node with SLUICEGATE_BACKEND=local"
        )


def _node_image() -> tuple[str, ...]:
    image = os.environ.get(NODE_IMAGE_VARIABLE)
    return (f"--image={image}",) if image else ()


def _found_or_built(name: str) -> Path:
    found = shutil.which(name)
    return Path(found) if found else program(name)
