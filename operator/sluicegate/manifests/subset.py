"""Whether a live object already says all that we would apply.

If so, nothing is written: a restart costs nothing, and a hand edit of what we set shows. What
the API server adds (defaults, status, injected containers) doesn't count, nor how it writes a
quantity. That a field is no longer applied shows by the hash that every manifest carries.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sluicegate.api.containers import amount

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
    "volumeMounts": ("mountPath",),
}
"""Lists that server-side apply merges by these fields, so that others may add items."""
_QUANTITIES: Final = frozenset({"requests", "limits"})
_MISSING: Final = object()


def is_subset(rendered: object, live: object) -> bool:
    """Whether all that `rendered` says is so in `live`."""
    return _covers(rendered, live, field="", quantity=False)


def _covers(rendered: object, live: object, *, field: str, quantity: bool) -> bool:
    match rendered:
        case None | "" | []:
            return live is _MISSING or live == rendered or live is None
        case dict():
            return isinstance(live, Mapping) and _covers_map(rendered, live, field)
        case list() | tuple():
            return isinstance(live, Sequence) and _covers_list(rendered, live, field)
        case _ if quantity:
            return _same_amount(rendered, live)
        case _:
            return _same_value(rendered, live)


def _covers_map(rendered: dict[str, Any], live: Mapping[str, Any], field: str) -> bool:
    quantity = field in _QUANTITIES
    return all(
        _covers(value, live.get(key, _MISSING), field=key, quantity=quantity)
        for key, value in rendered.items()
    )


def _covers_list(rendered: Sequence[Any], live: Sequence[Any], field: str) -> bool:
    if field in _KEYS:
        found = {_key(item, _KEYS[field]): item for item in live}
        pairs = [(item, found.get(_key(item, _KEYS[field]), _MISSING)) for item in rendered]
    elif len(rendered) == len(live):
        pairs = list(zip(rendered, live, strict=True))
    else:
        return False
    return all(_covers(item, other, field="", quantity=False) for item, other in pairs)


def _key(item: Any, fields: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in fields) if isinstance(item, Mapping) else (item,)


def _same_value(rendered: object, live: object) -> bool:
    """Equality that keeps true and 1 apart."""
    return rendered == live and isinstance(rendered, bool) == isinstance(live, bool)


def _same_amount(rendered: object, live: object) -> bool:
    if not isinstance(rendered, str | int) or not isinstance(live, str | int):
        return False
    try:
        return amount(rendered) == amount(live)
    except ValueError:
        return rendered == live
