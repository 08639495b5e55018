"""A registry for bentos: plain HTTP, by a port of this machine, and by its Service in pods."""

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
# kube-proxy forwards the node's own connections to its port, also from the loopback interface.
HOSTS = f"""\
server = "http://127.0.0.1:{REGISTRY_PORT}"

[host."http://127.0.0.1:{REGISTRY_PORT}"]
  capabilities = ["pull", "resolve"]
"""


def registry(reached: Addresses, _options: Options, image: str) -> Addon:
    """Return the add-on; pushed images are deleted with the pod."""
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
        answers_at=f"http://{reached.registry}/v2/",
        prepare=lambda backend: _write_registry_hosts(backend, reached),
        fingerprint=f"{reached.registry} {reached.registry_in_pods} {HOSTS}",
    )


def _write_registry_hosts(backend: Backend, reached: Addresses) -> None:
    """Point both names at the node's own port; containerd reads the files at each pull."""
    for name in (reached.registry, reached.registry_in_pods):
        # As containerd spells `host:port` where a name of a folder can't have a colon.
        folder = backend.registry_hosts / f"{name.replace(':', '_')}_"
        write_atomically(folder / "hosts.toml", HOSTS)
