"""What is kept of each DataProduct: packed text, parsed when it is the product's turn."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.api import names
from sluicegate.api.product import DataProduct, without_nulls
from sluicegate.kube.resources import Key
from sluicegate.runtime.contracts import Record

REQUESTS: Final = (
    names.REQUEST_RETRAIN,
    names.REQUEST_ROLLBACK,
    names.REQUEST_PROMOTE,
    names.REQUEST_ABORT,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRecord(Record):
    """A DataProduct, its parts as packed JSON: parsed when it is its turn, small until then.

    Attributes
    ----------
    generation : of the spec.
    deleting : it has a deletionTimestamp; nothing of it is written any more.
    created : creationTimestamp, RFC 3339; the older of two products keeps a route.
    requests : one-shot annotations, by name.
    packed_spec, packed_status : as compressed JSON, which takes a third of the text; the spec
        without nulls.
    """

    generation: int
    deleting: bool
    created: str
    requests: tuple[tuple[str, str], ...]
    packed_spec: bytes
    packed_status: bytes

    @property
    def spec(self) -> dict[str, Any]:
        """The spec as parsed JSON, parsed anew each time."""
        return unpacked(self.packed_spec)

    @property
    def status(self) -> dict[str, Any]:
        """The status as parsed JSON, parsed anew each time."""
        return unpacked(self.packed_status)

    def parse(self) -> DataProduct:
        """The product, parsed anew each time; InvalidProduct as `DataProduct.parse` raises it."""
        rest = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {
                "name": self.key.name,
                "namespace": self.key.namespace,
                "uid": self.uid,
                "generation": self.generation,
                "creationTimestamp": self.created,
                "resourceVersion": str(self.version),
                "annotations": dict(self.requests),
            },
        }
        # The spec's text goes in as it is: to read and write it first would be most of the work.
        text = f'{json.dumps(rest)[:-1]}, "spec": {_text(self.packed_spec)}}}'
        return DataProduct.parse_json(text, _text(self.packed_status))


def product_record(body: Mapping[str, Any]) -> ProductRecord:
    """Slim a DataProduct."""
    meta = body["metadata"]
    annotations = meta.get("annotations") or {}
    requests = tuple((name, annotations[name]) for name in REQUESTS if name in annotations)
    key = Key(meta["namespace"], meta["name"])
    return ProductRecord(
        key=key,
        parent=key,
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        urgent=(meta.get("generation", 0), requests, "deletionTimestamp" in meta),
        generation=meta.get("generation", 0),
        deleting="deletionTimestamp" in meta,
        created=meta.get("creationTimestamp", ""),
        requests=requests,
        packed_spec=packed(without_nulls(body.get("spec") or {})),
        packed_status=packed(body.get("status") or {}),
    )


def packed(value: Mapping[str, Any]) -> bytes:
    """JSON as compressed text, a third of it."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return zlib.compress(text.encode(), level=1)


def unpacked(text: bytes) -> dict[str, Any]:
    """What `packed` packed."""
    value: dict[str, Any] = json.loads(_text(text))
    return value


def _text(compressed: bytes) -> str:
    return zlib.decompress(compressed).decode()
