"""The part of a live object that the operator owns, by the server's record of field ownership.

A child is applied again only if the manifest differs from the owned part of the live object.
Comparing with the owned part, instead of with the last manifest, needs no memory: it works after a
restart, it detects a manual edit (the editor took over the field), and it ignores fields of others.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from sluicegate.api.containers import amount

Fields = "Mapping[str, Any]"

IDENTITY = ("apiVersion", "kind")  # sent with every apply, but never among the owned fields
QUANTITIES = frozenset({"requests", "limits", "sizeLimit", "storage", "divisor"})
"""Fields whose values the server normalises: 0.5 becomes 500m."""


def owned_fields(body: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """Return the field set that `manager` owns by server-side apply, empty if there is none."""
    return dict(_entry(body, manager).get("fieldsV1") or {})


def written_at(body: Mapping[str, Any], manager: str) -> int:
    """Return the time of the last change by `manager`, in seconds of the server's clock; 0 if never."""
    moment = _entry(body, manager).get("time")
    return int(datetime.fromisoformat(moment).timestamp()) if moment else 0


def _entry(body: Mapping[str, Any], manager: str) -> Mapping[str, Any]:
    """Return the server's record of a manager's server-side apply; empty if there is none."""
    for entry in body.get("metadata", {}).get("managedFields") or ():
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            record: Mapping[str, Any] = entry
            return record
    return {}


def owned_part(body: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """Return the fields of a live object that `manager` applied, with their live values."""
    fields = owned_fields(body, manager)
    return dict(pick(body, fields)) if fields else {}


def pick(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of `value` that a FieldsV1 set selects; an empty set selects all of it."""
    if not fields.keys() - {"."}:
        return value
    if isinstance(value, dict):
        names = {name[2:]: below for name, below in fields.items() if name.startswith("f:")}
        return {key: pick(value[key], names[key]) for key in names if key in value}
    if isinstance(value, list):
        return list(pick_items(value, fields))
    return value


def pick_items(items: list[Any], fields: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the owned parts of the items of a list-map (by key) or of a list-set (by value)."""
    for item in items:
        for name, below in fields.items():
            if name.startswith("k:") and has_key(item, json.loads(name[2:])):
                yield pick(item, below)
            elif name.startswith("v:") and item == json.loads(name[2:]):
                yield item


def has_key(item: Any, key: Mapping[str, Any]) -> bool:
    """Return whether a list-map's item has this key."""
    return isinstance(item, dict) and all(item.get(name) == value for name, value in key.items())


def fingerprint(applied: Mapping[str, Any]) -> str:
    """Return a short digest of a manifest or of an owned part; equal digests mean in sync.

    Both sides are normalised: fields that the server drops (empty or null) and the object's
    identity are ignored, numbers and quantities are compared by their amount, and the order of
    list-map items is ignored where items have names.
    """
    return _DIGESTS.of(applied, lambda: _fingerprint(applied))


def owned_fingerprint(body: Mapping[str, Any], manager: str) -> str:
    """Return the fingerprint of the part of a live object that `manager` applied."""
    fields = owned_fields(body, manager)
    read = {name: body.get(name.removeprefix("f:")) for name in fields}
    if "f:metadata" in fields:  # the rest of the metadata changes with each write
        read["f:metadata"] = pick(body["metadata"], fields["f:metadata"])
    return _DIGESTS.of([fields, read], lambda: _fingerprint(owned_part(body, manager)))


def _fingerprint(applied: Mapping[str, Any]) -> str:
    bare = {key: value for key, value in applied.items() if key not in IDENTITY}
    meta = bare.get("metadata") or {}
    bare["metadata"] = {key: meta[key] for key in meta if key not in ("name", "namespace")}
    text = json.dumps(canonical(bare), sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=12).hexdigest()


class Digests:
    """Cache of the newest fingerprints, by digests of their inputs.

    An object is compared many times between two changes: a Deployment's status changes with each
    step of its pods, and each reconcile builds the manifests again.
    """

    def __init__(self, most: int) -> None:
        self._most_entries = most
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def of(self, read: Any, compute: Callable[[], str]) -> str:
        """Return the fingerprint of an input, from the cache if possible.

        Parameters
        ----------
        read : all inputs of the fingerprint, as JSON.
        """
        key = blake2b(json.dumps(read).encode(), digest_size=16).digest()
        fingerprint_text = self._known.pop(key, None) or compute()
        self._known[key] = fingerprint_text
        if len(self._known) > self._most_entries:
            self._known.popitem(last=False)
        return fingerprint_text


_DIGESTS: Final = Digests(4096)
"""A cache large enough for a thousand products while they start: a MiB."""


def canonical(value: Any, *, quantity: bool = False) -> Any:
    """Normalise a value for the comparison.

    Parameters
    ----------
    quantity : whether it is in a field of amounts. Other text isn't converted: a revision such as
        61e9999999 is no number, and version 1.10 isn't version 1.1.
    """
    if isinstance(value, dict):
        pairs = {
            key: canonical(item, quantity=quantity or key in QUANTITIES)
            for key, item in value.items()
        }
        return {key: item for key, item in pairs.items() if item not in (None, {}, [], "")}
    if isinstance(value, list | tuple):
        items = [canonical(item) for item in value]
        all_named = all(isinstance(item, dict) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if all_named else items
    if isinstance(value, bool) or value is None:
        return value
    return plain_amount(value) if quantity or not isinstance(value, str) else value


def plain_amount(value: Any) -> str:
    """Return a quantity as its plain amount; other text unchanged."""
    try:
        return str(amount(value).normalize())
    except ValueError:
        return str(value)
