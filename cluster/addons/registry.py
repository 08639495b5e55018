"""A registry for bentos: plain HTTP, one name for the host, for pods and for containerd."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cluster.addons.addon import Addon
from cluster.addons.addresses import REGISTRY_PORT, Addresses
from cluster.addons.manifests import Server, namespace, server_objects
from cluster.cache import write_atomically

if TYPE_CHECKING:
    from cluster.addons.options import Options
    from cluster.backend import Backend

NAMESPACE = "registry"
DATA = "/var/lib/registry"
CONFIG = f"""\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {DATA}}}
  delete: {{enabled: true}}
http: {{addr: ":5000"}}
"""
HOSTS = """\
server = "http://{host}"

[host."http://{host}"]
  capabilities = ["pull", "resolve"]
"""


def registry(where: Addresses, _options: Options, image: str) -> Addon:
    """The add-on; what is pushed lives as long as the pod."""
    server = Server(
        name="registry",
        namespace=NAMESPACE,
        image=image,
        user=65534,
        arguments=("serve", "/etc/registry/config.yml"),
        ports={"http": 5000},
        node_port=REGISTRY_PORT,
        ready_path="/v2/",
        ready_port="http",
        memory="32Mi",
        files={"config.yml": CONFIG},
        files_path="/etc/registry",
        data_path=DATA,
    )
    return Addon(
        name=server.name,
        namespace=NAMESPACE,
        objects=(namespace(NAMESPACE), *server_objects(server)),
        answers_at=f"http://{where.registry}/v2/",
        prepare=lambda backend: _tell_containerd(backend, where.registry),
        fingerprint=HOSTS.format(host=where.registry),
    )


def _tell_containerd(backend: Backend, host: str) -> None:
    """Without this, containerd asks the host for TLS; it reads the file at each pull."""
    write_atomically(backend.registry_hosts / host / "hosts.toml", HOSTS.format(host=host))
