"""A stand-in for an API server that reviews tokens and access, and takes signatures and requests."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from sluicegate.kube.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluicegate.kube.requests import ApiRequest


class AccessReviews:
    """Answers reviews of tokens and of access by tables, and counts them.

    Attributes
    ----------
    may : namespaces that a user or a group may list; "" stands for all.
    tokens : the status of a TokenReview by token.
    verbs : what a user or a group may do beside listing, in all namespaces.
    reviews : DataProductReviews and DataProducts by path, which take patches.
    patches : the patches that were sent. refusal : status, reason and message with which they are refused.
    conflicts : patches that meet a changed object before one is taken.
    """

    def __init__(
        self, may: Mapping[str, set[str]], tokens: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.may = dict(may)
        self.tokens = dict(tokens or {})
        self.counts: Counter[str] = Counter()
        self.away = False
        self.verbs: dict[str, set[str]] = {}
        self.conflicts = 0
        self.reviews: dict[str, dict[str, Any]] = {}
        self.patches: list[ApiRequest] = []
        self.refusal: tuple[int, str, str] | None = None

    def transport(self) -> Transport:
        return Transport(self)

    async def exchange(
        self, request: ApiRequest, most: int | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        if request.method == "PATCH":
            return self._patched(request)
        if request.method == "GET":
            return 200, json.dumps(self.reviews[request.path]).encode(), {}
        assert request.body is not None
        kind, spec = request.body["kind"], request.body["spec"]
        self.counts[kind] += 1
        if self.away:
            raise OSError("connection refused")
        if kind == "TokenReview":
            status = self.tokens.get(spec["token"], {"authenticated": False})
        else:
            attributes = spec["resourceAttributes"]
            verb, namespace = attributes["verb"], attributes.get("namespace", "")
            holders = [spec["user"], *spec["groups"]]
            allowed = any({"", namespace} & self.may.get(holder, set()) for holder in holders)
            if verb != "list":
                allowed = any(verb in self.verbs.get(holder, set()) for holder in holders)
            status = {"allowed": allowed}
        return 201, json.dumps({"kind": kind, "status": status}).encode(), {}

    def _patched(self, request: ApiRequest) -> tuple[int, bytes, Mapping[str, str]]:
        self.patches.append(request)
        if self.refusal is not None:
            status, reason, message = self.refusal
            return status, json.dumps({"reason": reason, "message": message}).encode(), {}
        if self.conflicts:
            self.conflicts -= 1
            return 409, json.dumps({"reason": "Conflict", "message": "modified"}).encode(), {}
        assert request.body is not None
        body = self.reviews[request.path]
        spec = body["spec"] | request.body.get("spec", {})
        meta = dict(body["metadata"])
        annotations = request.body.get("metadata", {}).get("annotations")
        if annotations:
            meta["annotations"] = meta.get("annotations", {}) | annotations
        return 200, json.dumps(body | {"spec": spec, "metadata": meta}).encode(), {}

    async def close(self) -> None:
        """Do nothing, as nothing is open."""
