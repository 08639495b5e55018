"""The port to the API server: the few verbs the operator needs, over plain dictionaries.

Each write passes one gate first. The gate waits for the write budget and then refuses when the
lease doesn't cover the write any more (see `sluicegate.runtime.write_fence`), so no caller can forget.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from prometheus_client import Counter

from sluicegate.kube import requests
from sluicegate.kube.errors import AnswerTooLarge, NotFound, TimedOut
from sluicegate.kube.pages import MOST_BYTES, Page
from sluicegate.kube.resources import Key, Resource
from sluicegate.kube.transport import Body, Transport

PAGE = 250
"""Objects of a page, some 30 KiB each; smaller pages would make a resync of 5,000 products more
reads than it may cost."""
ROOMY = 4
"""A page of less than this part of the most is followed by a larger one."""

WRITES = Counter(
    "sluicegate_writes_total",
    "Writes by verb and resource, without the lease; status is a resource of its own.",
    ["verb", "resource"],
)


class WriteGate(Protocol):
    """What every write must pass, at the last moment before it is sent."""

    async def admit(self) -> None:
        """Return when a write may be sent now; raise WriteFenced when none may."""


class KubeApi:
    """Reads and gated writes; every failure is a KubeError, every call has a timeout."""

    def __init__(self, transport: Transport, gate: WriteGate, *, field_manager: str) -> None:
        self._transport = transport
        self._gate = gate
        self._manager = field_manager
        self._limits: dict[Resource, int] = {}
        """Objects a page, of kinds whose objects are large."""

    def server_time(self) -> float | None:
        """Return the API server's time in seconds since 1970; None before an answer says it."""
        return self._transport.server_time()

    async def get(self, resource: Resource, key: Key) -> Body:
        """Return an object; NotFound when there is none."""
        return await self._read(requests.get(resource, key))

    async def pages(
        self, resource: Resource, *, namespace: str = "", labels: str = "", chunk: int = PAGE
    ) -> AsyncIterator[Page]:
        """Yield a list page by page; an empty namespace means all of them.

        A page that is too large, or takes too long, is asked for again with half of the objects,
        and so are the next ones until they have become small.
        """
        token, limit = "", min(chunk, self._limits.get(resource, chunk))
        while True:
            request = requests.list_page(
                resource, namespace=namespace, labels=labels, limit=limit, token=token
            )
            try:
                size, page = await self._page(request, most=MOST_BYTES if limit > 1 else None)
            except AnswerTooLarge:
                limit = self._limits[resource] = limit // 2
                continue
            except TimedOut:
                self._limits[resource] = max(1, limit // 2)
                raise
            yield page
            token = page.token
            del page  # nothing here holds it while the next one is read
            if size < MOST_BYTES // ROOMY:
                limit = min(chunk, 2 * limit)
            self._limits[resource] = limit
            if not token:
                return

    async def served(self, resource: Resource) -> bool:
        """Say whether the API server knows this kind: its definition may come and go."""
        try:
            answer = await self._read(requests.discovery(resource))
        except NotFound:
            return False
        return any(kind.get("name") == resource.plural for kind in answer.get("resources") or ())

    async def apply(
        self, resource: Resource, body: Mapping[str, Any], *, resource_version: str | None = None
    ) -> Body:
        """Apply an object server-side and return it; Conflict when it left `resource_version`.

        Give `requests.ABSENT` for an object that isn't there yet, else the observed version.
        """
        return await self._write(
            resource.qualified,
            requests.apply(
                resource, body, manager=self._manager, resource_version=resource_version
            ),
        )

    async def apply_status(
        self, resource: Resource, body: Mapping[str, Any], *, resource_version: str | None
    ) -> Body:
        """Apply the status of an object, whose metadata and status `body` holds."""
        return await self._write(
            f"{resource.qualified}/status",
            requests.apply(
                resource,
                body,
                manager=self._manager,
                resource_version=resource_version,
                subresource="status",
            ),
        )

    async def try_apply(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Return what applying would give; nothing is stored, so no gate is passed."""
        return await self._read(requests.apply(resource, body, manager=self._manager, dry_run=True))

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Create an object; AlreadyExists when there is one."""
        return await self._write(
            resource.qualified, requests.create(resource, body, manager=self._manager)
        )

    async def replace(self, resource: Resource, body: Mapping[str, Any]) -> Body:
        """Replace an object at the resourceVersion in its metadata."""
        return await self._write(
            resource.qualified, requests.replace(resource, body, manager=self._manager)
        )

    async def patch(
        self,
        resource: Resource,
        key: Key,
        body: Mapping[str, Any],
        *,
        resource_version: str | None = None,
    ) -> Body:
        """Merge `body` into a child of ours; None removes a field."""
        return await self._write(
            resource.qualified,
            requests.patch(
                resource, key, body, manager=self._manager, resource_version=resource_version
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
        """Delete the object that was observed; another of that name gives Conflict."""
        await self._write(
            resource.qualified,
            requests.delete(
                resource,
                key,
                uid=uid,
                resource_version=resource_version,
                propagation=propagation,
            ),
        )

    async def _page(self, request: requests.ApiRequest, *, most: int | None) -> tuple[int, Page]:
        """Return the answer's bytes and the page in it."""
        await self._transport.patience.wait()
        text = await self._transport.fetch(request, most=most)
        return len(text), Page(text.decode(errors="replace"))

    async def _read(self, request: requests.ApiRequest) -> Body:
        await self._transport.patience.wait()
        return await self._transport.send(request)

    async def _write(self, what: str, request: requests.ApiRequest) -> Body:
        await self._transport.patience.wait()  # before the gate: behind it, nothing waits
        await self._gate.admit()
        answer = await self._transport.send(request)
        WRITES.labels(verb=request.verb, resource=what).inc()
        return answer
