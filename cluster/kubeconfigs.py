"""Kubeconfig files: where the API server is, whom to trust and who one is."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cluster.cache import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.certificates import Authority, Pair

CONTEXT = "sluicegate"


def render_kubeconfig(server: str, authority: Authority, client: Pair) -> str:
    """Return a kubeconfig without references to files, as JSON, which is YAML."""

    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": CONTEXT,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": inline(authority.certificate),
                    },
                }
            ],
            "users": [
                {
                    "name": CONTEXT,
                    "user": {
                        "client-certificate-data": inline(client.certificate),
                        "client-key-data": inline(client.key),
                    },
                }
            ],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        },
        indent=2,
    )


def write_kubeconfig(path: Path, server: str, authority: Authority, client: Pair) -> Path:
    """Write a kubeconfig that only its owner can read."""
    write_atomically(path, render_kubeconfig(server, authority, client), mode=0o600)
    return path


def read_kubeconfig(path: Path) -> dict[str, Any]:
    """Return a parsed kubeconfig: JSON as above, or YAML as kind writes it."""
    text = path.read_text()
    parsed: dict[str, Any]
    if text.startswith("{"):
        parsed = json.loads(text)
    else:
        import yaml  # noqa: PLC0415 - `up` on a running local node has no time for it

        parsed = yaml.safe_load(text)
    return parsed
