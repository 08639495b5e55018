"""A stand-in for an API server that is asked who somebody is, and what this one may list."""

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
    """

    def __init__(
        self, may: Mapping[str, set[str]], tokens: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.may = dict(may)
        self.tokens = dict(tokens or {})
        self.asked: Counter[str] = Counter()
        self.away = False

    def transport(self) -> Transport:
        return Transport(self)

    async def exchange(
        self, request: ApiRequest, most: int | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        assert request.body is not None
        kind, spec = request.body["kind"], request.body["spec"]
        self.asked[kind] += 1
        if self.away:
            raise OSError("nobody listens")
        if kind == "TokenReview":
            status = self.tokens.get(spec["token"], {"authenticated": False})
        else:
            attributes = spec["resourceAttributes"]
            assert attributes["verb"] == "list"
            namespace = attributes.get("namespace", "")
            holders = [spec["user"], *spec["groups"]]
            allowed = any({"", namespace} & self.may.get(one, set()) for one in holders)
            status = {"allowed": allowed}
        return 201, json.dumps({"kind": kind, "status": status}).encode(), {}

    async def close(self) -> None:
        """Nothing is open."""
