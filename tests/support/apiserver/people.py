"""Users of a real API server, by impersonation like kubectl --as."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import yaml

from cluster.builds import program
from cluster.kubeconfigs import read_kubeconfig
from sluicegate.api import names
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

CHART = Path(__file__).resolve().parents[3] / "charts" / "sluicegate"
ROLES = "rbac.authorization.k8s.io"
PEOPLE_KINDS = ("ClusterRole", "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy")
"""Kinds of the chart that say who may do what; bindings of policies are of the last two."""
MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """Response of the API server: allowed, or the reason of the refusal, and its warning."""

    refusal: str = ""
    warning: str = ""
    body: dict[str, Any] | None = None

    @property
    def allowed(self) -> bool:
        return not self.refusal


class Person:
    """Sends requests as a user; each is one call, without a process.

    The user is impersonated by the administrator, or by the user of `kubeconfig`.
    """

    def __init__(
        self, plane: ControlPlane, user: str, *groups: str, kubeconfig: Path | None = None
    ) -> None:
        self.user = user
        self._url = plane.url
        self._session = _session(plane, kubeconfig or plane.kubeconfig)
        if user:
            self._session.headers["Impersonate-User"] = user
        if groups:
            self._session.headers["Impersonate-Group"] = ",".join(groups)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        **query: str,
    ) -> Answer:
        """Send one request; return its result."""
        answer = self._session.request(
            method, f"{self._url}{path}", params=query, headers={"Content-Type": kind},
            data=None if body is None else json.dumps(body), timeout=30,
        )  # fmt: skip
        document = answer.json()
        if not answer.ok:
            return Answer(document.get("message") or str(document))
        return Answer("", answer.headers.get("Warning", ""), document)

    def patch(
        self, product: tuple[str, str], change: dict[str, Any], *, dry: bool = True
    ) -> Answer:
        """Merge a change into a DataProduct; as a dry run, which admission sees all the same."""
        query = {"dryRun": "All"} if dry else {}
        return self.send("PATCH", path_of(*product), change, kind=MERGE, **query)

    def create(self, document: dict[str, Any], *, dry: bool = True) -> Answer:
        """Create a DataProduct (or a review)."""
        plural = document["kind"].lower() + "s"
        path = path_of(document["metadata"]["namespace"], "", plural=plural).rstrip("/")
        return self.send("POST", path, document, **({"dryRun": "All"} if dry else {}))


def path_of(namespace: str, name: str, *, plural: str = names.PLURAL) -> str:
    """Return the path of an object of this project."""
    return f"/apis/{names.API_VERSION}/namespaces/{namespace}/{plural}/{name}"


def chart(release: str, *values: str, namespace: str = "sluicegate-system") -> list[dict[str, Any]]:
    """Return the objects of the chart under these values."""
    done = subprocess.run(
        [str(program("helm")), "template", release, str(CHART), "--namespace", namespace,
         *(part for value in values for part in ("--set", value))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def install_policies(plane: ControlPlane, release: str, *values: str) -> list[dict[str, Any]]:
    """Apply the chart's roles and policies, and wait until policies are type-checked."""
    objects = [one for one in chart(release, *values) if one["kind"].startswith(PEOPLE_KINDS)]
    objects = [obj for obj in objects if obj["kind"] != "ClusterRoleBinding"]
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(listed)
    )
    policies = [obj for obj in objects if obj["kind"] == "ValidatingAdmissionPolicy"]
    return [_checked(plane, policy["metadata"]["name"]) for policy in policies]


def _checked(plane: ControlPlane, name: str) -> dict[str, Any]:
    def read() -> dict[str, Any] | None:
        text = plane.kubectl("get", "validatingadmissionpolicy", name, "-o", "json")
        body: dict[str, Any] = json.loads(text)
        generation = body.get("status", {}).get("observedGeneration")
        return body if generation == body["metadata"]["generation"] else None

    checked = eventually(read, what=f"the type check of {name}")
    assert checked is not None
    return checked


def may(plane: ControlPlane, user: str, verb: str, group: str, resource: str) -> bool:
    """Return whether a user may do this anywhere; a subresource follows after a slash."""
    kind, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": kind, "subresource": subresource}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    answer = Person(plane, "").send("POST", path, body)
    assert answer.body is not None, answer.refusal
    return bool(answer.body["status"]["allowed"])


def bind(plane: ControlPlane, role: str, user: str, namespace: str) -> None:
    """Bind a user to a ClusterRole in a namespace."""
    body = {
        "apiVersion": f"{ROLES}/v1",
        "kind": "RoleBinding",
        "metadata": {"generateName": "people-"},
        "roleRef": {"apiGroup": ROLES, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": ROLES, "kind": "User", "name": user}],
    }
    path = f"/apis/{ROLES}/v1/namespaces/{namespace}/rolebindings"
    answer = Person(plane, "").send("POST", path, body)
    assert answer.allowed, answer.refusal


def _session(plane: ControlPlane, kubeconfig: Path) -> requests.Session:
    document = read_kubeconfig(kubeconfig)
    user, authority = document["users"][0]["user"], document["clusters"][0]["cluster"]
    session = requests.Session()
    session.trust_env = False  # or a bundle of the machine's own is taken for ours
    folder = Path(tempfile.mkdtemp(dir=plane.folder))
    files = {
        "ca": authority["certificate-authority-data"],
        "certificate": user["client-certificate-data"],
        "key": user["client-key-data"],
    }
    for name, data in files.items():
        (folder / name).write_bytes(base64.b64decode(data))
    session.verify = str(folder / "ca")
    session.cert = (str(folder / "certificate"), str(folder / "key"))
    return session
