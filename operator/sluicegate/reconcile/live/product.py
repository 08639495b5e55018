"""What is kept of each DataProduct: packed text, parsed when it is the product's turn.

This is the border for stored objects, which may be older than their schema: whatever they hold,
a record is made, and its views are typed. A part that can't be read is empty here, and `parse`
says why.
"""

import json
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from sluicegate.api import names
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.extent import readable_json
from sluicegate.api.product import DataProduct, is_readable, read_status_json, status_text
from sluicegate.api.route import Route
from sluicegate.api.slos import Analysis
from sluicegate.api.status import DataProductStatus, WrittenBy
from sluicegate.errors import Problem
from sluicegate.kube.resources import Key
from sluicegate.policy.model.observed import ManualRequest
from sluicegate.reconcile.live.request_annotations import manual_requests, note_text, read_requests
from sluicegate.runtime.interfaces import Record, Result
from sluicegate.views.approval_notes import answer_annotations

SpecView = TypeVar("SpecView", bound=BaseModel)

MAX_DEPENDENCIES: Final = 32
"""Products that a spec may depend on."""
RECENT_PRODUCTS: Final = 16
"""Products of which the parsed form is kept, 90 KiB each: those that the workers are at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRecord(Record):
    """A cached DataProduct with compressed JSON parts, parsed on demand.

    Attributes
    ----------
    generation : of the spec.
    deleting : it has a deletionTimestamp; nothing of it is written any more.
    created : creationTimestamp, RFC 3339; the older of two products keeps a route.
    requests : one-shot annotations, by name. note : the annotation with the reason of one of them.
    answers : annotations with answers to candidates, by name.
    depends_on : products that the spec depends on; what can't be read of it is left out.
    queue : value of the label that names the queue of its Jobs; empty without one.
    packed_spec, packed_status : as compressed JSON, which takes a third of the text; the spec
        without nulls.
    spec_problem : why the spec isn't kept; None when it is.
    request_problem : what is wrong with a one-shot annotation; None when nothing is.
    """

    generation: int
    deleting: bool
    created: str
    requests: tuple[tuple[str, str], ...]
    packed_spec: bytes
    packed_status: bytes
    spec_problem: Problem | None = None
    request_problem: Problem | None = None
    note: str = ""
    answers: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[Key, ...] = ()
    queue: str = ""

    @property
    def status(self) -> DataProductStatus:
        """Return the status; empty if it is unreadable."""
        return _status(self.packed_status)

    @property
    def written_by(self) -> WrittenBy | None:
        """Return the operator that wrote the status; None if unknown."""
        return _written_by(self.packed_status)

    def has_readable_status(self) -> bool:
        """Return whether this operator understands all of the status; checked at each call."""
        return is_readable(_text(self.packed_status))

    @property
    def manual_requests(self) -> tuple[ManualRequest, ...]:
        """Return the one-shot requests, each with its note."""
        return manual_requests(self.requests, self.note)

    @property
    def route(self) -> dict[str, Any]:
        """Return the spec's route as JSON of the API's types, parsed each time.

        Empty without one, and when it is malformed.
        """
        if self._part(_RouteView) is None:
            return {}
        route: dict[str, Any] = json.loads(_text(self.packed_spec)).get("route") or {}
        return route

    @property
    def suspended(self) -> bool:
        """Return spec.suspend, also of an otherwise malformed spec; parsed at each call."""
        view = self._part(_SuspendView)
        return view is None or view.suspend

    @property
    def has_queue(self) -> bool:
        """Return whether the spec names a Job queue; parsed at each call."""
        view = self._part(_QueueView)
        return bool(self.queue or (view and view.retraining and view.retraining.queue))

    @property
    def block_seconds(self) -> int:
        """Return the block length of the spec, or the default if malformed; parsed at each call."""
        view = self._part(_AnalysisView) or _AnalysisView()
        return view.analysis.block_seconds

    def _part(self, view: type[SpecView]) -> SpecView | None:
        """Return a part of the spec; None if it is malformed."""
        try:
            return view.model_validate_json(_text(self.packed_spec))
        except ValidationError:
            return None

    def parse(self) -> DataProduct:
        """Return the parsed product; InvalidProduct if it is malformed."""
        if self.spec_problem is not None:
            raise InvalidProduct([self.spec_problem])
        unparsed = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {
                "name": self.key.name,
                "namespace": self.key.namespace,
                "uid": self.uid,
                "generation": self.generation,
                "creationTimestamp": self.created,
                "resourceVersion": str(self.version),
                "annotations": dict((*self.requests, *self.answers)),
                "labels": {names.LABEL_QUEUE: self.queue} if self.queue else {},
            },
        }
        return _parsed(json.dumps(unparsed)[:-1], self.packed_spec, self.packed_status)


Pass: TypeAlias = Callable[[ProductRecord], Awaitable[Result]]
"""A pass of a product, with the interceptors that are inside of another one."""


@lru_cache(maxsize=RECENT_PRODUCTS)
def _parsed(unparsed: str, spec: bytes, status: bytes) -> DataProduct:
    # The spec's text goes in as it is: to read and write it first would be most of the work.
    return DataProduct.parse_json(f'{unparsed}, "spec": {_text(spec)}}}', _status(status))


@lru_cache(maxsize=RECENT_PRODUCTS)
def _status(status: bytes) -> DataProductStatus:
    return read_status_json(_text(status))


class _WrittenView(BaseModel):
    """The fields of a status that name its writer."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)
    written_by: WrittenBy | None = None


@lru_cache(maxsize=RECENT_PRODUCTS)
def _written_by(status: bytes) -> WrittenBy | None:
    try:
        return _WrittenView.model_validate_json(_text(status)).written_by
    except ValidationError:
        return None


class _RouteView(BaseModel):
    """The fields of a spec that define its route."""

    model_config = ConfigDict(extra="ignore")
    route: Route | None = None


class _SuspendView(BaseModel):
    """The fields of a spec that suspend the product."""

    model_config = ConfigDict(extra="ignore", strict=True)
    suspend: bool = False


class _RetrainingView(BaseModel):
    """The part of spec.retraining that names a queue."""

    model_config = ConfigDict(extra="ignore")
    queue: str | None = None


class _QueueView(BaseModel):
    """The fields of a spec that name a Job queue."""

    model_config = ConfigDict(extra="ignore")
    retraining: _RetrainingView | None = None


class _AnalysisView(BaseModel):
    """The part of a spec that has the block length."""

    model_config = ConfigDict(extra="ignore")
    analysis: Analysis = Field(default_factory=Analysis)


def product_record(body: Mapping[str, Any]) -> ProductRecord:
    """Convert a DataProduct into its record, also with malformed spec, status or annotations."""
    meta = body["metadata"]
    requests, request_problem = read_requests(meta.get("annotations"))
    key = Key(meta["namespace"], meta["name"])
    spec, spec_problem = readable_json(body.get("spec") or {})
    answers = answer_annotations(meta.get("annotations"))
    return ProductRecord(
        key=key,
        parent=key,
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        urgent=(meta.get("generation", 0), requests, answers, "deletionTimestamp" in meta),
        generation=meta.get("generation", 0),
        deleting="deletionTimestamp" in meta,
        created=meta.get("creationTimestamp", ""),
        requests=requests,
        packed_spec=_compressed_text(spec),
        packed_status=_compressed_text(status_text(body.get("status"))),
        spec_problem=spec_problem,
        request_problem=request_problem,
        note=note_text(meta.get("annotations")),
        answers=answers,
        depends_on=tuple(_dependencies(body.get("spec"), key.namespace)),
        queue=_queue(meta.get("labels")),
    )


def _dependencies(spec: Any, namespace: str) -> Iterator[Key]:
    entries = spec.get("dependsOn") if isinstance(spec, Mapping) else None
    for entry in entries[:MAX_DEPENDENCIES] if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
            named_namespace = entry.get("namespace")
            yield Key(
                named_namespace
                if isinstance(named_namespace, str) and named_namespace
                else namespace,
                entry["name"],
            )


def _queue(labels: Any) -> str:
    value = labels.get(names.LABEL_QUEUE) if isinstance(labels, Mapping) else None
    return value if isinstance(value, str) else ""


def compressed(value: Mapping[str, Any]) -> bytes:
    """Return JSON as compressed bytes, a third of its size."""
    return _compressed_text(
        json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    )


def decompressed(text: bytes) -> dict[str, Any]:
    """Return the text that `compressed` has compressed."""
    value: dict[str, Any] = json.loads(_text(text))
    return value


def _compressed_text(text: str) -> bytes:
    return zlib.compress(text.encode(errors="replace"), level=1)


def _text(compressed: bytes) -> str:
    return zlib.decompress(compressed).decode()
