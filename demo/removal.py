"""`make demo-down`: what a demonstration made goes, and what stays is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from demo import products, setup

if TYPE_CHECKING:
    from cluster.backend import Backend
    from demo.terminal import Terminal

CRD = "dataproducts.sluicegate.dev"


def remove(backend: Backend, terminal: Terminal) -> int:
    """Remove products, operator and definition; the cluster too if the demonstration started it."""
    if not backend.kubeconfig.exists():
        terminal.say("no cluster runs, so nothing is left of a demonstration")
        return 0
    if setup.is_ours(backend):
        terminal.live("  … the cluster, and all in it")
        backend.down()
        terminal.say("the cluster that the demonstration started is gone, with all that was in it")
        return 0
    terminal.live("  … both products' namespaces")
    products.remove_namespaces(backend)
    terminal.live("  … the operator")
    setup.uninstall_operator(backend)
    left = _remove_definition(backend)
    terminal.say("products, operator and their namespaces are gone")
    terminal.say("left, as the cluster ran before the demonstration:")
    for line in (*left, "the cluster with its add-ons (`make cluster-down` removes it)"):
        terminal.say(f"  - {line}")
    return 0


def _remove_definition(backend: Backend) -> list[str]:
    """Delete the definition, unless that deletes products of others; return what is left."""
    here = ("get", CRD, "--all-namespaces", "--ignore-not-found", "-o", "json")
    if not backend.run_kubectl("get", "crd", CRD, "--ignore-not-found", "-o", "name"):
        others = []
    else:
        others = json.loads(backend.run_kubectl(*here) or "{}").get("items", [])
    if others:
        return [f"the definition {CRD}, since {len(others)} other DataProducts are of it"]
    backend.run_kubectl("delete", "crd", CRD, "--ignore-not-found", "--timeout=60s")
    return ["the demonstration's bentos in the registry (demo-*/pricing, demo-*/search-ranking)"]
