"""Who an operator is in a test: a service account, its token in a file as the kubelet writes it."""

from __future__ import annotations

import base64
import itertools
import json
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

if TYPE_CHECKING:
    from pathlib import Path

    from cluster.controlplane import ControlPlane


class ServiceAccount:
    """An account that may do everything, with a kubeconfig that leads to `server`.

    Each token lives as long as a Secret that it is bound to: deleting the Secret revokes it, and
    the API server itself answers 401 from then on.
    """

    def __init__(
        self, plane: ControlPlane, namespace: str, name: str, *, folder: Path, server: str
    ) -> None:
        self._plane = plane
        self._namespace = namespace
        self._name = name
        self._serials = itertools.count(1)
        self._bound_to = ""
        self._token = folder / f"{name}-token"
        self.kubeconfig = folder / f"{name}-kubeconfig"
        self.kubeconfig.write_text(self._render(server))
        plane.kubectl("create", "serviceaccount", name, "-n", namespace)
        plane.kubectl(
            *("create", "clusterrolebinding", f"{namespace}-{name}"),
            *("--clusterrole=cluster-admin", f"--serviceaccount={namespace}:{name}"),
        )
        self.issue()

    @property
    def user(self) -> str:
        """Its name in the audit log."""
        return f"system:serviceaccount:{self._namespace}:{self._name}"

    def issue(self) -> None:
        """Write a new token."""
        self._bound_to = f"{self._name}-{next(self._serials)}"
        namespace = ("-n", self._namespace)
        self._plane.kubectl("create", "secret", "generic", self._bound_to, *namespace)
        token = self._plane.kubectl(
            *("create", "token", self._name, *namespace),
            *("--bound-object-kind=Secret", f"--bound-object-name={self._bound_to}"),
        )
        self._token.write_text(token.strip())

    def rotate(self) -> None:
        """Write a new token, and make the one before invalid."""
        former = self._bound_to
        self.issue()
        self._plane.kubectl("delete", "secret", former, "-n", self._namespace)

    def _render(self, server: str) -> str:
        authority = self._plane._settings.authority.certificate.read_bytes()
        data = base64.b64encode(authority).decode()
        cluster = {"server": server, "certificate-authority-data": data}
        user = {"tokenFile": str(self._token)}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": user}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "current-context": "test",
            }
        )


def expiring_in(plane: ControlPlane, token: str, seconds: int) -> str:
    """Return the token with another end, this many seconds from now, signed by the control plane's own key.

    The API server issues none that lives for less than ten minutes, and a test can't wait for that.
    """
    head, body, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    end = int(time.time()) + seconds
    claims |= {"exp": end, "nbf": end - 3600, "iat": end - 3600}
    text = f"{head}.{_url_safe(json.dumps(claims).encode())}"
    pem = plane._settings.authority.service_account_key.read_bytes()
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_url_safe(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
