"""What a client of one version would notice of another: removed operations, changed fields.

Both versions' pods leave a summary of their API behind (`sluicegate_service.api_summary` says what
is in it). New operations, new optional fields of a request and new fields of an answer break
no client. If a summary has digests only, each difference counts as a change, for a person to check.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

LONGEST_NAME: Final = 80
MOST_NAMED: Final = 5
"""Changes that a message names; it says how many more there are."""

_LIMITS: Final = re.compile(r"#[0-9a-f]{6}")

Fields = Mapping[str, str]
"""Types by path, as the summary writes them."""


@dataclass(frozen=True, slots=True)
class ApiSummary:
    """The API of a version.

    Attributes
    ----------
    digest : of everything. count : operations.
    operations : digests by operation; empty where there was no room.
    fields : what is accepted and returned, by operation; empty where there was no room.
    deprecated : operations that are deprecated.
    """

    digest: str
    count: int
    operations: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, tuple[Fields, Fields]] = field(default_factory=dict)
    deprecated: frozenset[str] = frozenset()


def parse_summary(text: str) -> ApiSummary | None:
    """Return the summary that a container left behind; None for anything else that it may have said."""
    try:
        api = json.loads(text)["api"]
        json.dumps(api, ensure_ascii=False).encode()  # half a character can be in no message
        return ApiSummary(
            str(api["digest"]),
            int(api["count"]),
            {str(name): str(one) for name, one in api.get("operations", {}).items()},
            {
                str(name): (_fields(accepts), _fields(returns))
                for name, (accepts, returns) in api.get("fields", {}).items()
            },
            frozenset(map(str, api.get("deprecated", ()))),
        )
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _fields(value: Mapping[object, object]) -> dict[str, str]:
    return {str(path): str(types) for path, types in value.items()}


def changes(stable: ApiSummary | None, candidate: ApiSummary | None) -> tuple[str, ...] | None:
    """Return what of stable's API the candidate breaks, each as a clause; None if one of them is unknown."""
    if stable is None or candidate is None:
        return None
    if stable.digest == candidate.digest:
        return ()
    if not (stable.operations and candidate.operations):
        text = f"its {candidate.count} operations differ from the {stable.count} before"
        return (f"{text}, and are too many for a list of the changes",)
    return tuple(_by_operation(stable, candidate))


def added(stable: ApiSummary | None, candidate: ApiSummary | None) -> tuple[str, ...]:
    """Return the operations that only the candidate has, as far as both summaries list theirs."""
    if stable is None or candidate is None or not (stable.operations and candidate.operations):
        return ()
    return tuple(map(_short, sorted(candidate.operations.keys() - stable.operations.keys())))


def deprecated(stable: ApiSummary | None, candidate: ApiSummary | None) -> tuple[str, ...]:
    """Return the operations that the candidate deprecates, and the stable version does not."""
    if stable is None or candidate is None:
        return ()
    return tuple(map(_short, sorted(candidate.deprecated - stable.deprecated)))


def _by_operation(stable: ApiSummary, candidate: ApiSummary) -> Iterator[str]:
    for name, digest in sorted(stable.operations.items()):
        if name not in candidate.operations:
            yield f"{_short(name)} is removed"
        elif candidate.operations[name] != digest:
            ours, theirs = candidate.fields.get(name), stable.fields.get(name)
            if ours is None or theirs is None:
                yield f"{_short(name)} is changed"
            else:
                changes = [*_accepts(theirs[0], ours[0]), *_returns(theirs[1], ours[1])]
                if changes:
                    yield f"{_short(name)}: {_listed(changes)}"


def _accepts(before: Fields, now: Fields) -> Iterator[str]:
    """Requests that were accepted and may not be any more."""
    for path, types in sorted(before.items()):
        name = _named(path, "the request")
        if path not in now:
            if not _goes_with_its_parent(path, before, now):
                yield f"{name} is no longer accepted"
        elif gone := _types(types) - _types(now[path]):
            values = sorted(one[1:] for one in gone if one.startswith("="))
            if len(values) == len(gone):
                yield f"{name} no longer accepts {_short(', '.join(values))}"
            else:
                yield f"{name} {_differs(types, now[path])}"
        elif _is_required(now[path]) and not _is_required(types):
            yield f"{name} is required now"
    for path, types in sorted(now.items()):
        # Below a field that is new itself nothing was sent before.
        new = path not in before and not _goes_with_its_parent(path, now, before)
        if new and _is_required(types):
            yield f"{_named(path, 'the request')} is new and required"


def _returns(before: Fields, now: Fields) -> Iterator[str]:
    """Answers that clients may rely on and may not get any more."""
    for path, types in sorted(before.items()):
        name = _named(path, "the answer")
        if path not in now:
            if not _goes_with_its_parent(path, before, now):
                yield f"{name} is no longer returned"
        elif _types(types) != _types(now[path]):
            yield f"returned {name} {_differs(types, now[path])}"
        elif now[path].endswith("?") and not types.endswith("?"):
            yield f"{name} may be missing from the answer now"


def _goes_with_its_parent(path: str, there: Fields, elsewhere: Fields) -> bool:
    """Return whether what a field lies in is only `there` as well; then that is what is said."""
    parent = path.rpartition(".")[0]
    for suffix in ("[]", "{}"):
        if path.endswith(suffix):
            parent = path.removesuffix(suffix)
    return parent != path and parent in there and parent not in elsewhere


def _differs(before: str, now: str) -> str:
    was, is_ = _plain(before), _plain(now)
    return "has other limits now" if was == is_ else f"was {was} and is {is_}"


def _types(types: str) -> frozenset[str]:
    return frozenset(types.rstrip("!?").split("|"))


def _is_required(types: str) -> bool:
    return types.endswith("!")


def _plain(types: str) -> str:
    """Types for people; a digest stands for a type's limits, such as a pattern or a maximum."""
    return _short(_LIMITS.sub(" with limits", types.rstrip("!?")).replace("|", " or "))


def _named(path: str, whole: str) -> str:
    return _short(path) if path else whole


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _listed(clauses: list[str]) -> str:
    named = ", ".join(clauses[:MOST_NAMED])
    more = len(clauses) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def sentence(broken: tuple[str, ...]) -> str:
    """Return the changes in one sentence."""
    named = "; ".join(broken[:MOST_NAMED])
    more = len(broken) - MOST_NAMED
    return f"{named}; and {more} more" if more > 0 else named
