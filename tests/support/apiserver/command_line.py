"""Commands of the plugin, run in this process against a stand-in for an API server."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluicegate.__main__ import main
from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.apiserver.kubeconfigs import kubeconfig_of
from tests.support.samples.product_examples import example, full_status

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.apiserver.api_stand_in import ApiStandIn


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document


class CommandLine:
    """Runs commands with a kubeconfig that names the server."""

    def __init__(self, server: ApiStandIn, folder: Path) -> None:
        self.server = server
        host = server.configuration.host
        self.kubeconfig = kubeconfig_of(folder, host, namespace="catalog")

    async def __call__(self, *words: str) -> Ran:
        options = [] if words[0] == "explain" else ["--kubeconfig", str(self.kubeconfig)]
        arguments = [words[0], *options, *words[1:]]
        out, err = io.StringIO(), io.StringIO()

        def run() -> int:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    return main(arguments)
                except SystemExit as stop:  # argparse refuses
                    return int(stop.code or 0)

        code = await asyncio.to_thread(run)
        return Ran(code, out.getvalue(), err.getvalue())

    def keep(self, name: str = "pricing", **status: Any) -> dict[str, Any]:
        """Write a product with every part of a status, some replaced; return it."""
        document = example()
        document["metadata"] = {
            "namespace": "catalog", "name": name, "generation": 3,
            "creationTimestamp": "2026-01-01T09:00:00Z",
        }  # fmt: skip
        full = full_status() | status
        if live := self.server.objects.get(DATA_PRODUCTS.path("catalog", name)):
            document["metadata"]["uid"] = live["metadata"]["uid"]
        document["status"] = {key: value for key, value in full.items() if value is not None}
        document["status"]["candidate"] = {
            **(document["status"].get("candidate") or {}), "restoring": False,
        }  # fmt: skip
        if status.get("candidate", "") is None:
            del document["status"]["candidate"]
        return self.server.keep(DATA_PRODUCTS, document)
