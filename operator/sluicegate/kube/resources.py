"""Kinds and names of objects, and their paths on the API server.

All paths are built here, so each kind that the operator uses is a line of this file, and can be
compared with the RBAC rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from typing_extensions import override

from sluicegate.api import names


class Key(NamedTuple):
    """Name of a namespaced object; hashable and small, so that queues can hold thousands."""

    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        """Format as `namespace/name`, as in logs and events."""
        return f"{self.namespace}/{self.name}"


def key_of(body: Mapping[str, Any]) -> Key:
    """Return the key of an object of the API server."""
    meta = body["metadata"]
    return Key(meta.get("namespace", ""), meta["name"])


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of the API server; `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return `group/version`, or `version` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Return `plural.group`, as in RBAC and in labels of metrics."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", *, subresource: str = "") -> str:
        """Return the path of a collection (no name), an object, or one of its subresources."""
        path_parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            path_parts += ["namespaces", namespace]
        path_parts.append(self.plural)
        path_parts += [path_part for path_part in (name, subresource) if path_part]
        return "/" + "/".join(quote(path_part, safe="") for path_part in path_parts)


DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
JOBS = Resource("batch", "v1", "jobs", "Job")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
GATEWAYS = Resource("gateway.networking.k8s.io", "v1", "gateways", "Gateway")
POD_DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
HORIZONTAL_POD_AUTOSCALERS = Resource(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview"
)
SUBJECT_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview")
"""Reviews of the user who sends the request."""
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
DATA_PRODUCT_REVIEWS = Resource(names.GROUP, names.VERSION, names.REVIEW_PLURAL, names.REVIEW_KIND)
DATA_PRODUCTS = Resource(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
