"""An API server in memory that stores objects, refuses stale writes and records requests.

It stands for a server that isn't ours, over real HTTP: no schema, no managedFields (so each child
that is applied differs from what lives), but names, versions, uids and preconditions as they are.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from kubernetes.aio.client import Configuration

from sluicegate.kube.client import KubeApi, WriteGate
from sluicegate.kube.connections import Connections
from sluicegate.kube.resources import SUBJECT_REVIEWS
from sluicegate.kube.transport import Transport
from sluicegate.runtime.write_fence import OpenGate

if TYPE_CHECKING:
    from sluicegate.kube.resources import Key, Resource

Body = dict[str, Any]

AUTHORITY = Path(__file__).resolve().parents[2] / "data" / "authority.pem"
"""Of no use over HTTP; without it each client reads the machine's 150 authorities, for 30 ms."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: method, path without its query, and body; `dry` ones store nothing."""

    method: str
    path: str
    body: Body
    dry: bool = False
    query: str = ""

    @property
    def observed(self) -> tuple[str | None, str | None]:
        """The uid and the resourceVersion that the writer had observed."""
        metadata = self.body.get("preconditions") or self.body.get("metadata") or {}
        return metadata.get("uid"), metadata.get("resourceVersion")

    user: str = ""
    """Whom it was sent in the name of, by the headers of impersonation."""


@dataclass
class ApiStandIn:
    """The server.

    `objects` by path, `sent` in order, `refused` the paths that answer 403, `invalid` the kinds
    (in the plural) whose writes answer 422, `unavailable` how many of the next requests answer
    503, `lost` how many of the next creations do that though they were carried out, and `cut`
    whether watches end.
    """

    objects: dict[str, Body] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    invalid: set[str] = field(default_factory=set)
    unavailable: int = 0
    cut: bool = False
    lost: int = 0
    person: str = "acb"
    """User name of a client that asks for its own."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _versions: itertools.count[int] = field(default_factory=lambda: itertools.count(100))
    _configuration: Configuration | None = None
    _transport: Transport | None = None
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]

        self._configuration = Configuration(
            host=f"http://{host}:{port}", ssl_ca_cert=str(AUTHORITY)
        )
        # As the operator's own login: aiohttp otherwise asks two threads before each request.
        self._configuration.client_session_kwargs = {"trust_env": False}

        async def login() -> Configuration:
            return self.configuration

        self._transport = Transport(Connections(login))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._transport
        assert self._runner
        await self._transport.close()
        await self._runner.cleanup()

    @property
    def api(self) -> KubeApi:
        """The operator's port to it."""
        return self.behind(OpenGate())

    def behind(self, gate: WriteGate) -> KubeApi:
        """Return a client whose writes pass this gate."""
        assert self._transport
        return KubeApi(self._transport, gate, field_manager="sluicegate")

    @property
    def configuration(self) -> Configuration:
        """How a client reaches it."""
        assert self._configuration
        return self._configuration

    @property
    def writes(self) -> list[Sent]:
        """What it was sent that isn't a question."""
        return [one for one in self.sent if one.method != "GET" and not one.dry]

    def keep(self, resource: Resource, body: Body) -> Body:
        """Store an object as it is, at a new version; return it."""
        meta = body["metadata"]
        path = resource.path(meta["namespace"], meta["name"])
        return self._store(path, body)

    def restore(self, objects: dict[str, Body]) -> None:
        """Restore a backup, and continue with the resourceVersion after it."""
        newest = max(int(obj["metadata"]["resourceVersion"]) for obj in objects.values())
        self.objects, self._versions = objects, itertools.count(newest + 1)

    def move(self, resource: Resource, key: Key) -> Body:
        """Write an object as another client: only its resourceVersion changes."""
        path = resource.path(key.namespace, key.name)
        return self._store(path, self.objects[path])

    def go_away(self) -> None:
        """End each watch, and answer every request with 503 until `answer_again`."""
        self.cut, self.unavailable = True, sys.maxsize
        self._changed.set()

    def answer_again(self) -> None:
        """Answer as before."""
        self.cut, self.unavailable, self._changed = False, 0, asyncio.Event()

    def _store(self, path: str, body: Body) -> Body:
        number = next(self._versions)
        meta = {"uid": f"uid-{number}", **body["metadata"], "resourceVersion": str(number)}
        self.objects[path] = {**body, "metadata": meta}
        self._changed.set()
        self._changed = asyncio.Event()
        return self.objects[path]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        dry = "dryRun" in request.query
        body = json.loads(text) if text else {}
        user = request.headers.get("Impersonate-User", "")
        sent = Sent(
            request.method, request.path, body, dry=dry, query=request.query_string, user=user
        )
        self.sent.append(sent)
        path = sent.path.removesuffix("/status")
        if (answer := self._refusal(sent.method, path) or dry_answer(sent)) is not None:
            return answer
        match sent.method:
            case "GET":
                return await self._read(path, request)
            case "POST":
                return self._post(path, sent.body)
        if (live := self.objects.get(path)) is not None and self._is_stale(sent, live):
            return failure(409, "Conflict")
        if sent.method == "DELETE":
            return failure(404, "NotFound") if live is None else self._delete(path)
        return self._patch(path, sent, live)

    def _post(self, path: str, body: Body) -> web.Response:
        if path == SUBJECT_REVIEWS.path(""):
            return web.json_response(
                {"status": {"userInfo": {"username": self.person}}}, status=201
            )
        return self._create(f"{path}/{body['metadata']['name']}", body)

    def _refusal(self, method: str, path: str) -> web.Response | None:
        if self.unavailable > 0:
            self.unavailable -= 1
            return failure(503, "ServiceUnavailable")
        if path in self.refused:
            return failure(403, "Forbidden")
        if method in {"PATCH", "DELETE"} and path.split("/")[-2] in self.invalid:
            return failure(422, "Invalid")
        return None

    def _answer(self, path: str) -> web.Response:
        live = self.objects.get(path)
        return failure(404, "NotFound") if live is None else web.json_response(live)

    async def _read(self, path: str, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(path, request)
        return self._list(path, request) if "limit" in request.query else self._answer(path)

    async def _watch(self, path: str, request: web.Request) -> web.StreamResponse:
        """Stream the objects of a collection, then each change until the timeout."""
        answer = web.StreamResponse()
        await answer.prepare(request)
        field, _, name = request.query.get("fieldSelector", "").rpartition("=")
        name = (
            name if field in {"", "metadata.name"} else ""
        )  # commands filter other fields themselves
        sent: dict[str, str] = {}
        loop = asyncio.get_running_loop()
        end = loop.time() + int(request.query["timeoutSeconds"])
        while True:
            changed = self._changed
            for place, body in list(self.objects.items()):
                version = body["metadata"]["resourceVersion"]
                desired = place.startswith(f"{path}/") and name in {"", body["metadata"]["name"]}
                if desired and sent.get(place) != version:
                    kind = "MODIFIED" if place in sent else "ADDED"
                    sent[place] = version
                    await answer.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
            try:
                await asyncio.wait_for(changed.wait(), max(0, end - loop.time()))
            except TimeoutError:
                return answer
            if self.cut:
                return answer

    def _list(self, path: str, request: web.Request) -> web.Response:
        def collections(name: str) -> set[str]:
            within = name.rpartition("/")[0]
            return {within, re.sub("/namespaces/[^/]+", "", within)}

        begin = int(request.query.get("continue", 0))
        end = begin + int(request.query["limit"])
        selector = request.query.get("labelSelector", "")
        desired = dict(part.split("=", 1) for part in selector.split(",") if "=" in part)
        items = [
            body
            for name, body in self.objects.items()
            if path in collections(name)
            and desired.items() <= body["metadata"].get("labels", {}).items()
        ]
        meta = {"resourceVersion": str(next(self._versions))}
        if end < len(items):
            meta["continue"] = str(end)
        return web.json_response({"items": items[begin:end], "metadata": meta})

    def _create(self, path: str, body: Body) -> web.Response:
        if path in self.objects:
            return failure(409, "AlreadyExists")
        if self.lost > 0:
            self.lost -= 1
            self._store(path, body)
            return failure(503, "ServiceUnavailable")
        return web.json_response(self._store(path, body))

    def _delete(self, path: str) -> web.Response:
        del self.objects[path]
        return web.json_response({})

    def _patch(self, path: str, sent: Sent, live: Body | None) -> web.Response:
        if live is None:
            if "name" not in sent.body.get("metadata", {}):
                return failure(404, "NotFound")  # a change of what isn't there; a wish has a name
            if sent.observed[0]:
                return failure(409, "Conflict")  # a uid is of an object that is there
            return web.json_response(self._store(path, sent.body))
        stored, sent_metadata = live["metadata"], sent.body.get("metadata", {})
        maps = {
            name: stored.get(name, {}) | sent_metadata[name]
            for name in ("labels", "annotations")
            if name in sent_metadata
        }
        meta = stored | sent_metadata | maps
        return web.json_response(self._store(path, live | sent.body | {"metadata": meta}))

    def _is_stale(self, sent: Sent, live: Body) -> bool:
        uid, version = sent.observed
        meta = live["metadata"]
        return uid not in (None, meta["uid"]) or version not in (None, meta["resourceVersion"])


def failure(status: int, reason: str) -> web.Response:
    """Return an error response."""
    return web.json_response({"kind": "Status", "reason": reason}, status=status)


def dry_answer(sent: Sent) -> web.Response | None:
    """Return the response to a dry run; None for another request."""
    return web.json_response(sent.body) if sent.dry else None
