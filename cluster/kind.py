"""The kind backend, for machines where a Docker engine answers.

The same node image and registry folder as `kind-config.yaml` has; what is done here can
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
from cluster.cache import locked, write_atomically
from cluster.commands import follow, run, succeeds
from cluster.engine import OTHERWISE, build_image, pull, require_engine
from cluster.errors import ClusterError
from cluster.identity import CHECKOUT, Identity
from cluster.kind_requests import lower_system_requests, write_patches
from cluster.loading import first_load, forget_loads
from cluster.tools import tool
from cluster.versions import versions

CONFIGURATION = CHECKOUT / "kind-config.yaml"
NODE_IMAGE_VARIABLE = "SLUICEGATE_NODE_IMAGE"
START_SECONDS = 600.0
READY_SECONDS = 120.0
PULL_SECONDS = 1800.0
UNITS = ("containerd", "kubelet")


class KindCluster:
    """The backend for machines with a Docker engine."""

    kind = KIND

    def __init__(self, identity: Identity, system: str = sys.platform) -> None:
        """Store the settings; `system` is this machine's `sys.platform`."""
        self._identity = identity
        self._system = system

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
        """Folder of files that are deleted with the cluster."""
        return self._identity.state

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; absent while the cluster doesn't run."""
        return self._identity.kubeconfig

    @property
    def kubectl(self) -> Path:
        """The node's own on Linux, where it runs, since it is static; elsewhere a tool."""
        if self._system != "linux":
            return Path(tool("kubectl"))
        own = self.state / "kubectl"
        if not own.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            # A copy that was interrupted is half a program.
            copied = own.with_suffix(f".{os.getpid()}")
            self._docker("cp", f"{self.node}:/usr/bin/kubectl", str(copied))
            copied.replace(own)
        return own

    @property
    def registry_hosts(self) -> Path:
        """Mounted into the node as containerd's `config_path`."""
        return self.state / "registries"

    def up(self) -> bool:
        """Create the cluster; return False if it exists and is Ready.

        Raises
        ------
        ClusterError
            It runs another node image than is wanted now, or could not be created.
        """
        self._refuse_another_image()
        if self.is_ready():
            return False
        with locked(f"cluster-{self._identity.name}"):
            if self.is_ready():
                return False
            require_engine()
            self.registry_hosts.mkdir(parents=True, exist_ok=True)
            exists = self._identity.name in self._kind("get", "clusters").split()
            if exists and not self._created.exists():
                # A start that was interrupted left half a control plane, which nothing completes.
                self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}", *self._name)
                exists = False
            if exists:
                self._docker("start", self.node)
                self._kind("export", "kubeconfig", f"--kubeconfig={self.kubeconfig}", *self._name)
            else:
                self._create()
            # `kubectl wait` fails at once while the API server doesn't listen yet.
            wait_until(
                self.is_ready,
                seconds=READY_SECONDS,
                failed=lambda: None,
                problem=f"the node {self.node} was not Ready",
            )
        return True

    def down(self) -> None:
        """Delete the cluster and its folder."""
        with locked(f"cluster-{self._identity.name}"):
            self._kind("delete", "cluster", f"--kubeconfig={self.kubeconfig}", *self._name)
            shutil.rmtree(self.state, ignore_errors=True)

    def is_ready(self) -> bool:
        """Return whether the cluster was created whole, and the node reports Ready."""
        if not (self.kubeconfig.exists() and self._created.exists()):
            return False
        ask = ("get", "node", self.node, "--request-timeout=2s", "-o")
        ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        try:
            return self.run_kubectl(*ask, ready) == "True"
        except ClusterError:
            return False

    def reached_at(self, port: int) -> str:
        """Return `host:port` at which this machine reaches a port of the node; the engine forwards it.

        Raises
        ------
        ClusterError
            The node doesn't run, or was created without this port.
        """
        try:
            return self._docker("port", self.node, f"{port}/tcp").strip()
        except ClusterError as error:
            raise ClusterError(
                f"{error}: `python -m cluster up` starts a node that was stopped; one that was "
                "created by hand, or by another version of this checkout, goes by "
                "`python -m cluster down`"
            ) from error

    def components(self) -> list[Component]:
        """Return the node's container and its units; the rest are pods in kube-system."""
        if not succeeds("docker", "inspect", self.node):
            return []
        node = Component(
            self.node,
            succeeds("docker", "top", self.node),
            log_command=("docker", "logs", self.node),
        )
        return [node, *map(self._unit, UNITS)]

    def load_image(self, archive: Path) -> None:
        """Load the images of an OCI archive into the node, once for each archive."""
        with first_load(archive, self._identity) as is_first:
            if is_first:
                self._kind("load", "image-archive", str(archive), *self._name)

    def provide_image(self, name: str) -> str:
        """Pull the image that its project publishes, else build it by the Dockerfile; on the node.

        Raises
        ------
        ClusterError
            It can't be pulled or built.
        """
        published = versions().published.get(name)
        return self._pulled(published) if published else self._built(name)

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
        """Run a shell on the node, where kubectl is set up; return its exit code."""
        terminal = ("--tty",) if sys.stdin.isatty() else ()
        command = ["docker", "exec", "--interactive", *terminal, self.node, "bash"]
        return subprocess.run(command, check=False).returncode

    @property
    def _created(self) -> Path:
        """Marks a cluster whose creation ended well, and holds its node image."""
        return self.state / "created"

    def _refuse_another_image(self) -> None:
        if not self._created.exists():
            return
        recorded, desired = self._created.read_text(), node_image()
        if recorded != desired:
            raise ClusterError(
                f"cluster {self._identity.name} was created with the node image {recorded}, and "
                f"{desired} is wanted now: `python -m cluster down` removes it with all that runs "
                f"in it, or go on with it by {NODE_IMAGE_VARIABLE}={recorded}"
            )

    def _unit(self, name: str) -> Component:
        on_node = ("docker", "exec", self.node)
        return Component(
            name,
            succeeds(*on_node, "systemctl", "is-active", "--quiet", name),
            log_command=(*on_node, "journalctl", "--no-pager", f"--unit={name}"),
        )

    def _pulled(self, published: str) -> str:
        # Beside a digest the node's containerd keeps no tag.
        repository, _, digest = published.partition("@")
        reference = f"{repository.rpartition(':')[0]}@{digest}"
        if not self._digest(reference):
            print(f"the node pulls {published}", file=sys.stderr, flush=True)
            try:
                self._ctr("pull", reference, timeout=PULL_SECONDS)
            except ClusterError as error:
                last = str(error).splitlines()[-1]
                raise ClusterError(
                    f"the node can't pull {published}: {last}; try again, or {OTHERWISE}"
                ) from error
        return reference

    def _built(self, name: str) -> str:
        self.state.mkdir(parents=True, exist_ok=True)
        built = build_image(name, log=self.state / f"build-{name}.log")
        with locked(f"load-{self._identity.name}-{name}"):
            if not self._digest(built):
                self._kind("load", "docker-image", built, *self._name)
            digest = self._digest(built)
            reference = f"{built.rpartition(':')[0]}@{digest}"
            # The name that pods use, which loading by tag doesn't make.
            self._ctr("tag", "--force", built, reference)
        return reference

    def _digest(self, reference: str) -> str:
        """Return the digest of an image on the node; empty without an image of this name."""
        listed = self._ctr("ls", f"name=={reference}").splitlines()[1:]
        return next((line.split()[2] for line in listed), "")

    def _ctr(self, *arguments: str, timeout: float = 120.0) -> str:
        command = ("docker", "exec", self.node, "ctr", "--namespace=k8s.io", "images")
        return run(*command, *arguments, timeout=timeout)

    @property
    def _name(self) -> tuple[str, str]:
        return ("--name", self._identity.name)

    def _create(self) -> None:
        self._created.unlink(missing_ok=True)
        forget_loads(self._identity)
        write_patches(self.state)
        image = node_image()
        another = f"name another with {NODE_IMAGE_VARIABLE}, or {OTHERWISE}"
        pull(image, what="node image", otherwise=another)
        create = ("create", "cluster", f"--config={CONFIGURATION}", f"--image={image}")
        follow(
            *self._kind_command(*create, f"--kubeconfig={self.kubeconfig}", *self._name),
            log=self.state / "create.log",
            timeout=START_SECONDS,
            folder=self.state,
        )
        lower_system_requests(self.run_kubectl)
        write_atomically(self._created, image)

    def _kind(self, *arguments: str) -> str:
        return run(*self._kind_command(*arguments), timeout=START_SECONDS, folder=self.state)

    def _kind_command(self, *arguments: str) -> tuple[str, ...]:
        # Relative host paths in the configuration are the cluster's own folder's.
        self.state.mkdir(parents=True, exist_ok=True)
        return (tool("kind"), *arguments)

    def _docker(self, *arguments: str) -> str:
        return run("docker", *arguments)


def node_image() -> str:
    """Return the image of a node: SLUICEGATE_NODE_IMAGE if it is set, else the pinned one."""
    return os.environ.get(NODE_IMAGE_VARIABLE) or versions().kind_image
