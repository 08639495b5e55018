"""The command lines and files of what makes a machine a Kubernetes node; nothing is started here.

containerd with runc, the kubelet, kube-proxy, the pods' bridge and the cluster's DNS.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.processes import Command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cluster.components import ControlPlaneSettings
    from cluster.identity import Addresses, Identity

NODE_NAME = "node"
CONTAINERD, KUBELET, KUBE_PROXY, COREDNS = "containerd", "kubelet", "kube-proxy", "coredns"
SHIM = "containerd-shim-runc-v2"
DNS_READY_PORT = 8181


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One node: whose it is, where it listens and what it runs."""

    identity: Identity
    addresses: Addresses
    control_plane: ControlPlaneSettings
    programs: Mapping[str, Path]
    cni_folder: Path
    pause_image: str

    @property
    def folder(self) -> Path:
        """Folder of the node's own files."""
        return self.identity.state / "node"

    @property
    def socket(self) -> Path:
        """Containerd's socket."""
        return self.identity.run / "containerd.sock"

    @property
    def registry_hosts(self) -> Path:
        """Containerd's folder of `<host>_<port>_/hosts.toml`."""
        return self.folder / "registries"

    @property
    def pod_logs(self) -> Path:
        """Where the kubelet keeps the containers' output."""
        return self.identity.state / "logs" / "pods"

    @property
    def kubelet_folder(self) -> Path:
        """The kubelet's folder: a link to the disk, since its sockets need a short path."""
        return self.identity.run / "kubelet"

    @property
    def network_configuration(self) -> Path:
        """The folder with the pods' network configuration."""
        return self.folder / "cni"


def write_node_files(settings: NodeSettings) -> None:
    """Write the configuration files of all programs on the node."""
    folder = settings.folder
    network = settings.network_configuration
    for created in (network, settings.registry_hosts, settings.identity.run):
        created.mkdir(parents=True, exist_ok=True)
    on_disk = settings.identity.state / "kubelet"
    on_disk.mkdir(exist_ok=True)
    if not settings.kubelet_folder.is_symlink():
        settings.kubelet_folder.symlink_to(on_disk)
    (folder / "containerd.toml").write_text(render_containerd(settings))
    (folder / "kubelet.json").write_text(json.dumps(kubelet_configuration(settings), indent=2))
    (folder / "Corefile").write_text(render_corefile(settings))
    # Pods get names from the cluster's DNS and from nowhere else.
    (folder / "resolv.conf").write_text("options timeout:1\n")
    (network / "10-bridge.conflist").write_text(json.dumps(pod_network(settings)))


def render_containerd(settings: NodeSettings) -> str:
    """Return containerd's configuration."""
    folder, run = settings.folder, settings.identity.run
    return f"""\
version = 3
root = '{folder / "containerd"}'
state = '{run / "containerd"}'

[grpc]
  address = '{settings.socket}'

[ttrpc]
  address = '{settings.socket}.ttrpc'

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{settings.pause_image}'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '{settings.registry_hosts}'

[plugins.'io.containerd.cri.v1.runtime']
  # Without the right to lower oom_score_adj every sandbox would die at once.
  restrict_oom_score_adj = true
  disable_apparmor = true
  # So that what is left of the pods' namespaces lies in one place when the cluster goes.
  netns_mounts_under_state_dir = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['{settings.cni_folder}']
    conf_dir = '{settings.network_configuration}'

[plugins.'io.containerd.nri.v1.nri']
  disable = true
"""


def kubelet_configuration(settings: NodeSettings) -> dict[str, object]:
    """Return the kubelet's configuration file."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.control_plane.authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "address": str(settings.addresses.node),
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        # A cgroup of its own: a kubelet ends what it doesn't know in its cgroup.
        "cgroupRoot": f"/{settings.identity.cgroup}",
        "clusterDNS": [str(settings.addresses.node)],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{settings.socket}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": str(settings.folder / "resolv.conf"),
        "podLogsDir": str(settings.pod_logs),
        "maxPods": 250,
        "registerNode": True,
        "serializeImagePulls": False,
        # The machine's disk is shared with everything else on it; its owner minds it.
        "evictionHard": {
            "imagefs.available": "1%",
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
    }


def pod_network(settings: NodeSettings) -> dict[str, object]:
    """Return the pods' network: one bridge, addresses of the node's range, ports of the host's."""
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "hairpinMode": True,
                # The host answers pods directly, it has a route to their range.
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(settings.identity.run / "cni"),
                    "ranges": [[{"subnet": str(settings.addresses.pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def render_corefile(settings: NodeSettings) -> str:
    """Return CoreDNS' configuration: the cluster's names, and no other."""
    kubeconfig = settings.control_plane.folder / "kubeconfigs" / "sluicegate-dns"
    return f"""\
cluster.local:53 in-addr.arpa:53 {{
    bind {settings.addresses.node}
    errors
    ready {settings.addresses.node}:{DNS_READY_PORT}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig} sluicegate
        pods insecure
        ttl 5
    }}
    cache 5
}}
"""


def containerd_command(settings: NodeSettings) -> Command:
    """Return the command of containerd, which finds its shim and runc on PATH."""
    shims = settings.programs[SHIM].parent
    return Command(
        CONTAINERD,
        (str(settings.programs[CONTAINERD]), "--config", str(settings.folder / "containerd.toml")),
        {"PATH": f"{shims}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def kubelet_command(settings: NodeSettings) -> Command:
    """Return the command of the kubelet."""
    kubeconfig = settings.control_plane.kubeconfig(f"system:node:{NODE_NAME}", ("system:nodes",))
    return Command(
        KUBELET,
        (
            str(settings.programs[KUBELET]),
            f"--config={settings.folder / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={settings.addresses.node}",
            f"--root-dir={settings.kubelet_folder}",
            f"--cert-dir={settings.folder / 'kubelet-certificates'}",
        ),
        {"CONTAINERD_ADDRESS": str(settings.socket)},
    )


def kube_proxy_command(settings: NodeSettings) -> Command:
    """Return the command of kube-proxy, which turns Services into rules of the node's packet filter."""
    kubeconfig = settings.control_plane.kubeconfig("system:kube-proxy")
    return Command(
        KUBE_PROXY,
        (
            str(settings.programs[KUBE_PROXY]),
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE_NAME}",
            f"--cluster-cidr={settings.addresses.pods}",
            "--proxy-mode=iptables",
            # The size of the kernel's table belongs to the whole machine.
            "--conntrack-max-per-core=0",
            "--healthz-bind-address=127.0.0.1:10256",
            "--metrics-bind-address=127.0.0.1:10249",
        ),
    )


def coredns_command(settings: NodeSettings) -> Command:
    """Return the command of CoreDNS, on the node's address."""
    settings.control_plane.kubeconfig("sluicegate-dns", ("sluicegate:dns",))
    return Command(
        COREDNS, (str(settings.programs[COREDNS]), "-conf", str(settings.folder / "Corefile"))
    )


DNS_RIGHTS: dict[str, object] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "sluicegate:dns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["services", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "sluicegate:dns"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "sluicegate:dns",
            },
            "subjects": [
                {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Group",
                    "name": "sluicegate:dns",
                }
            ],
        },
    ],
}
