"""Requests to the API server as values, built by pure functions.

So requests can be tested without a server, and the rules that keep two operators apart
(preconditions, field manager, short timeouts of writes) are in one place.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sluicegate.kube.resources import Key, Resource

READ_SECONDS = 10.0
LIST_SECONDS = 15.0  # a page has a bounded size; a lost request must end soon
WRITE_SECONDS = (
    3.0  # shorter than the fence's margin, so that no write is sent after the lease has expired
)

ABSENT_VERSION = "1"
"""As a resourceVersion: the object must not exist yet.

No object is ever at version 1, so the server answers 409 for an existing object, and creates a
missing one (measured on 1.37 for built-in and custom kinds). So a late write of a former leader
can't overwrite an object that its successor has created.
"""

JSON = "application/json"
APPLY_CONTENT_TYPE = "application/apply-patch+yaml"  # JSON is YAML
MERGE_CONTENT_TYPE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call: `verb` is its name in metrics, `seconds` the timeout of the whole call.

    `headers` are sent one by one, as a name may occur several times.
    """

    verb: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    content_type: str = JSON
    seconds: float = READ_SECONDS
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def target(self) -> str:
        """Return the path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def title(self) -> str:
        """Name of this request in error messages."""
        return f"{self.verb} {self.path}"


def get_request(resource: Resource, key: Key) -> ApiRequest:
    """Read one object."""
    return ApiRequest("get", "GET", resource.path(key.namespace, key.name))


def list_page(
    resource: Resource,
    *,
    namespace: str = "",
    labels: str = "",
    limit: int,
    token: str = "",
) -> ApiRequest:
    """Read one page of a collection; `token` is that of the page before."""
    query = [("limit", str(limit))]
    query += [("labelSelector", labels)] if labels else []
    query += [("continue", token)] if token else []
    path = resource.path(namespace)
    return ApiRequest("list", "GET", path, query=tuple(query), seconds=LIST_SECONDS)


def watch(resource: Resource, *, namespace: str = "", version: str, seconds: int) -> ApiRequest:
    """Watch a collection from a resourceVersion for this many seconds; with bookmarks."""
    query = (
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", version),
        ("timeoutSeconds", str(seconds)),
    )
    path = resource.path(namespace)
    return ApiRequest("watch", "GET", path, query=query, seconds=seconds + READ_SECONDS)


def review(resource: Resource, spec: Mapping[str, Any]) -> ApiRequest:
    """Create a review of a token or of an access: the server answers it and stores nothing."""
    return ApiRequest("review", "POST", resource.path(), body=_typed_body(resource, {"spec": spec}))


def discovery_request(resource: Resource) -> ApiRequest:
    """Read the kinds that a group and version serves."""
    prefix = "apis" if resource.group else "api"
    return ApiRequest("discover", "GET", f"/{prefix}/{resource.api_version}")


def apply_request(
    resource: Resource,
    body: Mapping[str, Any],
    *,
    field_manager: str,
    resource_version: str | None = None,
    subresource: str = "",
    dry_run: bool = False,
) -> ApiRequest:
    """Apply an object server-side, by force: the operator owns each field that it sets.

    With `resource_version` the server answers 409 if the object has another one, but creates a
    missing object; a `uid` in the metadata prevents that too. See ABSENT.
    """
    meta = body["metadata"]
    path = resource.path(meta.get("namespace", ""), meta["name"], subresource=subresource)
    options = [("force", "true")]
    options += [("dryRun", "All")] if dry_run else []
    versioned_body = at_version(_typed_body(resource, body), resource_version)
    return _write_request(
        "apply",
        "PATCH",
        path,
        versioned_body,
        field_manager=field_manager,
        options=options,
        kind=APPLY_CONTENT_TYPE,
    )


def create_request(resource: Resource, body: Mapping[str, Any], *, manager: str) -> ApiRequest:
    """Create an object; the server answers 409 AlreadyExists if there is one of that name."""
    path = resource.path(body["metadata"].get("namespace", ""))
    return _write_request(
        "create", "POST", path, _typed_body(resource, body), field_manager=manager
    )


def replace_request(resource: Resource, body: Mapping[str, Any], *, manager: str) -> ApiRequest:
    """Replace a whole object; its metadata.resourceVersion is the precondition."""
    meta = body["metadata"]
    path = resource.path(meta.get("namespace", ""), meta["name"])
    return _write_request("update", "PUT", path, _typed_body(resource, body), field_manager=manager)


def patch_request(
    resource: Resource,
    key: Key,
    body: Mapping[str, Any],
    *,
    field_manager: str,
    resource_version: str | None = None,
) -> ApiRequest:
    """Merge `body` into an object; None deletes a field."""
    path, versioned_body = (
        resource.path(key.namespace, key.name),
        at_version(body, resource_version),
    )
    return _write_request(
        "patch", "PATCH", path, versioned_body, field_manager=field_manager, kind=MERGE_CONTENT_TYPE
    )


def delete_request(
    resource: Resource,
    key: Key,
    *,
    uid: str | None = None,
    resource_version: str | None = None,
    propagation: str = "Background",
) -> ApiRequest:
    """Delete an object, if it is still the one that was observed."""
    observed_version = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {name: value for name, value in observed_version.items() if value}
    options: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
    }
    if preconditions:
        options["preconditions"] = preconditions
    path = resource.path(key.namespace, key.name)
    return ApiRequest("delete", "DELETE", path, body=options, seconds=WRITE_SECONDS)


def as_user(
    request: ApiRequest,
    user: str,
    *,
    groups: Iterable[str] = (),
    uid: str = "",
    extra_attributes: Mapping[str, Iterable[str]] | None = None,
) -> ApiRequest:
    """Add the headers by which a request is sent on behalf of a user.

    The account must be allowed to impersonate.

    Raises
    ------
    ValueError
        A name has characters that would end or change the header, and so name another user.
    """
    headers = [("Impersonate-User", user)]
    headers += [("Impersonate-Group", group) for group in groups]
    headers += [("Impersonate-Uid", uid)] if uid else []
    headers += [
        (f"Impersonate-Extra-{quote(name, safe='')}", value)
        for name, values in (extra_attributes or {}).items()
        for value in values
    ]
    for name, value in headers:
        if not value or value != value.strip() or not value.isprintable():
            raise ValueError(f"{name} can't be sent as a header: {value!r}")
    return dataclasses.replace(request, headers=(*request.headers, *headers))


def _typed_body(resource: Resource, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **body}


def _write_request(
    verb: str,
    method: str,
    path: str,
    body: Mapping[str, Any],
    *,
    field_manager: str,
    options: Iterable[tuple[str, str]] = (),
    kind: str = JSON,
) -> ApiRequest:
    query = (("fieldManager", field_manager), *options)
    return ApiRequest(verb, method, path, query, body, content_type=kind, seconds=WRITE_SECONDS)


def at_version(body: Mapping[str, Any], resource_version: str | None) -> Mapping[str, Any]:
    """Return `body` with the resourceVersion that the server must find."""
    if resource_version is None:
        return body
    meta = {**body.get("metadata", {}), "resourceVersion": resource_version}
    return {**body, "metadata": meta}
