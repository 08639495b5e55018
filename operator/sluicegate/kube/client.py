"""The client of the API server for the operator: reads and gated writes of plain dictionaries.

Each write passes one gate first. The gate waits for the write budget, and refuses if the lease
doesn't cover the write any more (see `sluicegate.runtime.write_fence`), so no caller can bypass it.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from prometheus_client import Counter

from sluicegate.kube import requests
from sluicegate.kube.errors import AnswerTooLarge, NotFound, TimedOut
from sluicegate.kube.pages import MAX_BYTES, Page
from sluicegate.kube.resources import Key, Resource
from sluicegate.kube.transport import Body, Transport

PAGE = 250
"""Objects of a page, some 30 KiB each; with smaller pages a resync of 5,000 products would need
more reads than its budget allows."""
SMALL_PAGE_DIVISOR = 4
"""A page with less than the limit divided by this number is followed by a larger one."""

WRITE_COUNTER = Counter(
    "sluicegate_writes_total",
    "Writes by verb and resource, without the lease; status is a resource of its own.",
    ["verb", "resource"],
)


class WriteGate(Protocol):
    """A check that every write passes before it is sent."""

    async def admit(self) -> None:
        """Wait until a write may be sent; raise WriteFenced if none may be."""


class KubeApi:
    """Reads and gated writes; every failure is a KubeError, every call has a timeout."""

    def __init__(
        self, transport: Transport, write_gate: WriteGate, *, field_manager: str, user: str = ""
    ) -> None:
        self._transport = transport
        self._gate = write_gate
        self._manager = field_manager
        self._user = user
        self._limits: dict[Resource, int] = {}
        """Objects a page, of kinds whose objects are large."""

    def as_user(self, user: str) -> "KubeApi":
        """Return a client whose writes and dry runs are sent on behalf of a user; its reads are not."""
        return KubeApi(self._transport, self._gate, field_manager=self._manager, user=user)

    def server_time(self) -> float | None:
        """Return the API server's time in seconds since 1970; None before its first answer."""
        return self._transport.server_time()

    async def get(self, resource: Resource, key: Key) -> Body:
        """Return an object; NotFound when there is none."""
        return await self._read(requests.get_request(resource, key))

    async def pages(
        self, resource: Resource, *, namespace: str = "", labels: str = "", chunk: int = PAGE
    ) -> AsyncIterator[Page]:
        """Yield a list page by page; an empty namespace means all of them.

        A page that is too large, or takes too long, is requested again with half of the objects;
        later pages grow again once they are small.
        """
        token, limit = "", min(chunk, self._limits.get(resource, chunk))
        while True:
            request = requests.list_page(
                resource, namespace=namespace, labels=labels, limit=limit, token=token
            )
            try:
                size, page = await self._page(request, max_bytes=MAX_BYTES if limit > 1 else None)
            except AnswerTooLarge:
                limit = self._limits[resource] = limit // 2
                continue
            except TimedOut:
                self._limits[resource] = max(1, limit // 2)
                raise
            yield page
            token = page.token
            del page  # so that it isn't kept in memory while the next one is read
            if size < MAX_BYTES // SMALL_PAGE_DIVISOR:
                limit = min(chunk, 2 * limit)
            self._limits[resource] = limit
            if not token:
                return

    async def served(self, resource: Resource) -> bool:
        """Return whether the API server serves this kind, whose CRD may be installed or removed at run time."""
        try:
            api_answer = await self._read(requests.discovery_request(resource))
        except NotFound:
            return False
        return any(
            kind.get("name") == resource.plural for kind in api_answer.get("resources") or ()
        )

    async def apply(
        self, resource: Resource, body: Mapping[str, Any], *, resource_version: str | None = None
    ) -> Body:
        """Apply an object server-side and return it; Conflict if it isn't at `resource_version` any more.

        `resource_version` is the observed one, or `requests.ABSENT` for an object that must not
        exist.
        """
        return await self._write(
            resource.qualified,
            requests.apply_request(
                resource, body, field_manager=self._manager, resource_version=resource_version
            ),
        )

    async def apply_status(
        self, resource: Resource, body: Mapping[str, Any], *, resource_version: str | None
    ) -> Body:
        """Apply the status of an object, whose metadata and status `body` holds."""
        return await self._write(
            f"{resource.qualified}/status",
            requests.apply_request(
                resource,
                body,
                field_manager=self._manager,
                resource_version=resource_version,
                subresource="status",
            ),
        )

    async def try_apply(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Apply an object as a dry run and return the result; nothing is stored, so no gate is passed."""
        request = requests.apply_request(resource, body, field_manager=self._manager, dry_run=True)
        return await self._read(self._on_behalf(request))

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Create an object; AlreadyExists if there is one of that name."""
        return await self._write(
            resource.qualified, requests.create_request(resource, body, manager=self._manager)
        )

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Replace an object at the resourceVersion in its metadata."""
        return await self._write(
            resource.qualified, requests.replace_request(resource, body, manager=self._manager)
        )

    async def patch(
        self,
        resource: Resource,
        key: Key,
        body: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> Body:
        """Merge `body` into a child owned by the product; None removes a field."""
        return await self._write(
            resource.qualified,
            requests.patch_request(
                resource, key, body, field_manager=self._manager, resource_version=resource_version
            ),
        )

    async def delete(
        self,
        resource: Resource,
        key: Key,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> None:
        """Delete the object that was observed; Conflict if another one has its name now."""
        await self._write(
            resource.qualified,
            requests.delete_request(
                resource,
                key,
                uid=uid,
                resource_version=resource_version,
                propagation=propagation,
            ),
        )

    async def _page(
        self, request: requests.ApiRequest, *, max_bytes: int | None
    ) -> tuple[int, Page]:
        """Return the size of an answer in bytes, and its page."""
        await self._transport.backpressure.wait()
        text = await self._transport.fetch(request, max_bytes=max_bytes)
        return len(text), Page(text.decode(errors="replace"))

    async def _read(self, request: requests.ApiRequest) -> Body:
        await self._transport.backpressure.wait()
        return await self._transport.send(request)

    async def _write(self, title: str, request: requests.ApiRequest) -> Body:
        await self._transport.backpressure.wait()  # before the gate, which a write passes last
        await self._gate.admit()
        api_answer = await self._transport.send(self._on_behalf(request))
        WRITE_COUNTER.labels(verb=request.verb, resource=title).inc()
        return api_answer

    def _on_behalf(self, request: requests.ApiRequest) -> requests.ApiRequest:
        return requests.as_user(request, self._user) if self._user else request
