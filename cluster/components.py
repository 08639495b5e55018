"""The command lines of a control plane's programs; nothing is started here.

The same four programs serve a node and the API tests; what differs is where they listen and
whether a node is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.certificates import ADMINISTRATORS, Authority
from cluster.kubeconfigs import write_kubeconfig
from cluster.processes import Command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ETCD, API_SERVER = "etcd", "kube-apiserver"
CONTROLLER_MANAGER, SCHEDULER, KWOK = "kube-controller-manager", "kube-scheduler", "kwok"
# An autoscaler looks, and waits before it scales down, in seconds instead of minutes.
AUTOSCALING = (
    "--horizontal-pod-autoscaler-sync-period=5s",
    "--horizontal-pod-autoscaler-downscale-stabilization=15s",
)
# Every request once, when it is answered; who, what, when and the answer's code.
AUDIT_LOG_MB = 100_000
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the programs listen. etcd has no authentication, so it stays on loopback."""

    address: str
    port: int
    etcd_port: int = 2379
    etcd_peer_port: int = 2380

    @property
    def url(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.port}"

    @property
    def etcd_url(self) -> str:
        """The URL at which the API server reaches etcd."""
        return f"http://127.0.0.1:{self.etcd_port}"


@dataclass(frozen=True, slots=True)
class ControlPlaneSettings:
    """One control plane: its folder, where it listens, its ranges, and what is special."""

    folder: Path
    listening: Listening
    programs: Mapping[str, Path]
    services: str
    pods: str
    api_service: str
    has_node: bool = False
    audit_log: Path | None = None
    feature_gates: Mapping[str, bool] = field(default_factory=dict)
    # Arguments added at the end of a program's command line, by the program's name.
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def authority(self) -> Authority:
        """Signs all certificates of this control plane."""
        return Authority(self.folder / "certificates")

    @property
    def front_proxy(self) -> Authority:
        """Vouches for the API server to those who serve a part of its API."""
        return Authority(self.folder / "certificates" / "front-proxy")

    def kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Return a kubeconfig for one of the programs, written on each call."""
        path = self.folder / "kubeconfigs" / user.replace(":", "-")
        client = self.authority.client(user, groups)
        return write_kubeconfig(path, self.listening.url, self.authority, client)

    def write_admin_kubeconfig(self, path: Path) -> Path:
        """Return the kubeconfig of an administrator."""
        client = self.authority.client("sluicegate-admin", (ADMINISTRATORS,))
        return write_kubeconfig(path, self.listening.url, self.authority, client)

    def command(self, name: str, *arguments: str) -> Command:
        """Return the command of a program with these arguments and the extra ones."""
        extra = self.extra.get(name, ())
        return Command(name, (str(self.programs[name]), *arguments, *extra))

    def gates(self) -> tuple[str, ...]:
        """Return the flag for feature gates, or none."""
        if not self.feature_gates:
            return ()
        pairs = (f"{gate}={str(on).lower()}" for gate, on in sorted(self.feature_gates.items()))
        return (f"--feature-gates={','.join(pairs)}",)


def etcd_command(settings: ControlPlaneSettings) -> Command:
    """Return the command of etcd, without fsync: its data is deleted with the cluster."""
    url = settings.listening.etcd_url
    peer = f"http://127.0.0.1:{settings.listening.etcd_peer_port}"
    return settings.command(
        ETCD,
        f"--data-dir={settings.folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--quota-backend-bytes={4 * 1024**3}",
    )


def api_server_command(settings: ControlPlaneSettings) -> Command:
    """Return the command of the API server, with one authority for everything but the aggregation layer."""
    authority, listening = settings.authority, settings.listening
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    full_name = "kubernetes.default.svc.cluster.local"
    addresses = ["127.0.0.1", listening.address, settings.api_service]
    serving = authority.server(API_SERVER, [*names, full_name, *addresses])
    return settings.command(
        API_SERVER,
        f"--etcd-servers={listening.etcd_url}",
        f"--bind-address={listening.address}",
        f"--advertise-address={listening.address}",
        f"--secure-port={listening.port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.certificate}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-account-key-file={authority.service_account_key}",
        f"--service-account-signing-key-file={authority.service_account_key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-cluster-ip-range={settings.services}",
        "--allow-privileged=true",
        *_node_arguments(settings),
        *_audit_arguments(settings),
        *settings.gates(),
    )


def _node_arguments(settings: ControlPlaneSettings) -> tuple[str, ...]:
    if not settings.has_node:
        # Loopback can't be the endpoint of a Service; without pods nothing looks it up.
        return ("--endpoint-reconciler-type=none",)
    # Without the certificate, logs and exec are refused by the kubelet; without the preference,
    # the node's name is looked up.
    client = settings.authority.client("kube-apiserver-kubelet-client", (ADMINISTRATORS,))
    return (
        f"--kubelet-client-certificate={client.certificate}",
        f"--kubelet-client-key={client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        *_aggregation_arguments(settings),
    )


def _aggregation_arguments(settings: ControlPlaneSettings) -> tuple[str, ...]:
    """Return the arguments for aggregated APIs, such as that of the metrics server.

    The authority is one of its own: the API server takes none for both this and the clients.
    """
    authority = settings.front_proxy
    authority.ensure()
    client = authority.client("front-proxy-client")
    return (
        f"--requestheader-client-ca-file={authority.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        # The node knows the way to pods, but none to the addresses of Services.
        "--enable-aggregator-routing",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={client.certificate}",
        f"--proxy-client-key-file={client.key}",
    )


def _audit_arguments(settings: ControlPlaneSettings) -> tuple[str, ...]:
    if not settings.audit_log:
        return ()
    policy = settings.folder / "audit-policy.yaml"
    policy.write_text(AUDIT_POLICY)
    return (
        f"--audit-policy-file={policy}",
        f"--audit-log-path={settings.audit_log}",
        # An answered request is in the file: a reader needs no guess of when.
        "--audit-log-mode=blocking",
        # By default the file is rotated at 100 MB, which no reader expects.
        f"--audit-log-maxsize={AUDIT_LOG_MB}",
    )


def controller_manager_command(settings: ControlPlaneSettings) -> Command:
    """Return the command of the controller manager."""
    authority = settings.authority
    return settings.command(
        CONTROLLER_MANAGER,
        f"--kubeconfig={settings.kubeconfig('system:kube-controller-manager')}",
        f"--service-account-private-key-file={authority.service_account_key}",
        f"--root-ca-file={authority.certificate}",
        "--use-service-account-credentials",
        *(
            (
                "--allocate-node-cidrs",
                f"--cluster-cidr={settings.pods}",
                "--node-cidr-mask-size=17",
                *AUTOSCALING,
            )
            if settings.has_node
            else ()
        ),
        "--leader-elect=false",
        "--secure-port=0",
        *settings.gates(),
    )


def scheduler_command(settings: ControlPlaneSettings) -> Command:
    """Return the command of the scheduler."""
    return settings.command(
        SCHEDULER,
        f"--kubeconfig={settings.kubeconfig('system:kube-scheduler')}",
        "--leader-elect=false",
        "--secure-port=0",
        *settings.gates(),
    )


def kwok_command(settings: ControlPlaneSettings) -> Command:
    """Return the command of kwok, which sets pods of every node to Running and Ready at once."""
    return settings.command(
        KWOK,
        f"--kubeconfig={settings.kubeconfig('sluicegate-kwok', (ADMINISTRATORS,))}",
        *(f"--config={path}" for path in sorted(settings.programs[KWOK].parent.glob("*.yaml"))),
        "--manage-all-nodes",
        f"--cidr={settings.pods}",
        "--node-lease-duration-seconds=40",
    )


def fake_node(number: int) -> dict[str, object]:
    """Return a Node without a machine, with capacity for 1,000 pods."""
    name = f"fake-{number}"
    room = {"cpu": "1000", "memory": "4Ti", "pods": "1000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "status": {"allocatable": room, "capacity": room},
    }
