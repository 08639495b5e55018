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

from sluicegate.api.containers import quantity_number

Fields = "Mapping[str, Any]"

IDENTITY = ("apiVersion", "kind")  # sent with every apply, but never among the owned fields
QUANTITY_FIELDS = frozenset({"requests", "limits", "sizeLimit", "storage", "divisor", "target"})
"""Fields whose values the server normalises: 0.5 becomes 500m. `target` is that of an autoscaler's metric."""


def owned_fields(body: Mapping[str, Any], field_manager: str) -> dict[str, Any]:
    """Return the field set that `manager` owns by server-side apply, empty if there is none."""
    return dict(_managed_entry(body, field_manager).get("fieldsV1") or {})


def written_at(body: Mapping[str, Any], field_manager: str) -> int:
    """Return the time of the last change by `manager`, in seconds of the server's clock; 0 if never."""
    write_time = _managed_entry(body, field_manager).get("time")
    return int(datetime.fromisoformat(write_time).timestamp()) if write_time else 0


def _managed_entry(body: Mapping[str, Any], field_manager: str) -> Mapping[str, Any]:
    """Return the server's record of a manager's server-side apply; empty if there is none."""
    for entry in body.get("metadata", {}).get("managedFields") or ():
        if (
            entry.get("manager") == field_manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            managed_entry: Mapping[str, Any] = entry
            return managed_entry
    return {}


def owned_part(body: Mapping[str, Any], field_manager: str) -> dict[str, Any]:
    """Return the fields of a live object that `manager` applied, with their live values."""
    fields = owned_fields(body, field_manager)
    return dict(pick_fields(body, fields)) if fields else {}


def pick_fields(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of `value` that a FieldsV1 set selects; an empty set selects all."""
    if not fields.keys() - {"."}:
        return value
    if isinstance(value, dict):
        names = {
            name[2:]: nested_fields
            for name, nested_fields in fields.items()
            if name.startswith("f:")
        }
        return {key: pick_fields(value[key], names[key]) for key in names if key in value}
    if isinstance(value, list):
        return list(pick_items(value, fields))
    return value


def pick_items(items: list[Any], fields: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the owned parts of the items of a list-map (by key) or of a list-set (by value)."""
    for item in items:
        for name, nested_fields in fields.items():
            if name.startswith("k:") and has_key(item, json.loads(name[2:])):
                yield pick_fields(item, nested_fields)
            elif name.startswith("v:") and item == json.loads(name[2:]):
                yield item


def has_key(item: Any, key: Mapping[str, Any]) -> bool:
    """Return whether a list-map's item has this key."""
    return isinstance(item, dict) and all(item.get(name) == value for name, value in key.items())


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """Return a short digest of a manifest or of an owned part; equal digests mean in sync.

    Both sides are normalised: fields that the server drops (empty or null) and the object's
    identity are ignored, numbers and quantities are compared by their amount, and the order of
    list-map items is ignored where items have names.
    """
    return _DIGESTS.of(manifest, lambda: _fingerprint_of(manifest))


def owned_fingerprint(body: Mapping[str, Any], field_manager: str) -> str:
    """Return the fingerprint of the part of a live object that `manager` applied."""
    fields = owned_fields(body, field_manager)
    owned_values = {name: body.get(name.removeprefix("f:")) for name in fields}
    if "f:metadata" in fields:  # the rest of the metadata changes with each write
        owned_values["f:metadata"] = pick_fields(body["metadata"], fields["f:metadata"])
    return _DIGESTS.of(
        [fields, owned_values], lambda: _fingerprint_of(owned_part(body, field_manager))
    )


def _fingerprint_of(manifest: Mapping[str, Any]) -> str:
    unidentified_manifest = {key: value for key, value in manifest.items() if key not in IDENTITY}
    meta = unidentified_manifest.get("metadata") or {}
    unidentified_manifest["metadata"] = {
        key: meta[key] for key in meta if key not in ("name", "namespace")
    }
    text = json.dumps(canonical_value(unidentified_manifest), sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=12).hexdigest()


class Digests:
    """Cache of the newest fingerprints, by digests of their inputs.

    An object is compared many times between two changes: a Deployment's status changes with each
    step of its pods, and each reconcile builds the manifests again.
    """

    def __init__(self, max_digests: int) -> None:
        self._max_entries = max_digests
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def of(self, cache_key: Any, compute_digest: Callable[[], str]) -> str:
        """Return the fingerprint of an input, from the cache if possible.

        Parameters
        ----------
        cache_key : all inputs of the fingerprint, as JSON.
        """
        key = blake2b(json.dumps(cache_key).encode(), digest_size=16).digest()
        fingerprint_text = self._known.pop(key, None) or compute_digest()
        self._known[key] = fingerprint_text
        if len(self._known) > self._max_entries:
            self._known.popitem(last=False)
        return fingerprint_text


_DIGESTS: Final = Digests(4096)
"""A cache large enough for a thousand products while they start: a MiB."""


def canonical_value(value: Any, *, quantity: bool = False) -> Any:
    """Normalise a value for the comparison.

    Parameters
    ----------
    quantity : whether it is in a field of amounts. Other text isn't converted: a revision such as
        61e9999999 is no number, and version 1.10 isn't version 1.1.
    """
    if isinstance(value, dict):
        pairs = {
            key: canonical_value(item, quantity=quantity or key in QUANTITY_FIELDS)
            for key, item in value.items()
        }
        return {key: item for key, item in pairs.items() if item not in (None, {}, [], "")}
    if isinstance(value, list | tuple):
        items = [canonical_value(item) for item in value]
        are_all_named = all(isinstance(item, dict) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if are_all_named else items
    if isinstance(value, bool) or value is None:
        return value
    return plain_amount(value) if quantity or not isinstance(value, str) else value


def plain_amount(value: Any) -> str:
    """Return a quantity as its plain amount; other text unchanged."""
    try:
        return str(quantity_number(value).normalize())
    except ValueError:
        return str(value)
