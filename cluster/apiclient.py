"""The few reads of the API server that the cluster tool itself makes.

Starting kubectl takes longer than the answer; `up` on a running cluster has a second for all.
"""

from __future__ import annotations

import base64
import http
import json
import socket
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError, StartError
from cluster.kubeconfigs import read_kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLL_SECONDS = 0.1


class Api:
    """Reads the API as the kubeconfig's user; the kubeconfig refers to no files."""

    def __init__(self, kubeconfig: Path) -> None:
        """Read the kubeconfig; each request opens a new connection."""
        config = read_kubeconfig(kubeconfig)
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._url = server["server"]
        authority = base64.b64decode(server["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)

    def get(self, path: str, *, timeout: float = 5.0) -> Any:
        """Return the parsed JSON (or the text) at `path`.

        Raises
        ------
        ClusterError
            No answer, or one that isn't a success.
        """
        try:
            with urllib.request.urlopen(  # noqa: S310 - the URL is from our own kubeconfig
                self._url + path, context=self._context, timeout=timeout
            ) as answer:
                text = answer.read().decode()
        except (OSError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()  # it holds the connection, and a caller that keeps the error keeps that
            raise ClusterError(f"the API server at {self._url} doesn't answer: {error}") from error
        return json.loads(text) if text.startswith(("{", "[")) else text

    def is_ready(self) -> bool:
        """Return whether the API server reports that it is ready."""
        try:
            return bool(self.get("/readyz", timeout=2.0) == "ok")
        except ClusterError:
            return False

    def node_is_ready(self, name: str) -> bool:
        """Return whether the kubelet reports the node as ready, and recently."""
        try:
            node = self.get(f"/api/v1/nodes/{name}", timeout=2.0)
        except ClusterError:
            return False
        conditions = node.get("status", {}).get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def pods_can_be_made(self) -> bool:
        """Return whether the controllers have created the service account that pods need."""
        try:
            self.get("/api/v1/namespaces/default/serviceaccounts/default", timeout=2.0)
        except ClusterError:
            return False
        return True


def answers(url: str) -> bool:
    """Return whether a plain HTTP readiness check succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - our own URL
            return bool(answer.status == http.HTTPStatus.OK)
    except (OSError, urllib.error.URLError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


def listens(path: Path) -> bool:
    """Return whether a program listens on the socket; a killed program leaves the file."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def wait_until(
    condition: Callable[[], bool],
    *,
    seconds: float,
    failed: Callable[[], Exception | None],
    problem: str,
) -> None:
    """Poll until the condition holds.

    `failed` gives an error when waiting on is pointless, e.g. because the program has ended.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        error = failed()
        if error:
            raise error
        if time.monotonic() > deadline:
            raise StartError(f"{problem} within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
