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
MAX_NAMED: Final = 5
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
    """Parse the API summary in a container's termination message; None for other messages."""
    try:
        api = json.loads(text)["api"]
        json.dumps(api, ensure_ascii=False).encode()  # half a character can be in no message
        return ApiSummary(
            str(api["digest"]),
            int(api["count"]),
            {
                str(name): str(description)
                for name, description in api.get("operations", {}).items()
            },
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
    """Return the breaking changes of stable's API, each as a clause; None if a version's API is unknown."""
    if stable is None or candidate is None:
        return None
    if stable.digest == candidate.digest:
        return ()
    if not (stable.operations and candidate.operations):
        text = f"its {candidate.count} operations differ from the {stable.count} before"
        return (f"{text}, and are too many for a list of the changes",)
    return tuple(_by_operation(stable, candidate))


def added(stable: ApiSummary | None, candidate: ApiSummary | None) -> tuple[str, ...]:
    """Return the operations and fields that the candidate's API adds, each as a clause."""
    if stable is None or candidate is None or not (stable.operations and candidate.operations):
        return ()
    return tuple(map(_short, sorted(candidate.operations.keys() - stable.operations.keys())))


def deprecated(stable: ApiSummary | None, candidate: ApiSummary | None) -> tuple[str, ...]:
    """Return the operations that the candidate deprecates and the stable version does not."""
    if stable is None or candidate is None:
        return ()
    return tuple(map(_short, sorted(candidate.deprecated - stable.deprecated)))


def _by_operation(stable: ApiSummary, candidate: ApiSummary) -> Iterator[str]:
    for name, digest in sorted(stable.operations.items()):
        if name not in candidate.operations:
            yield f"{_short(name)} is removed"
        elif candidate.operations[name] != digest:
            candidate_fields, stable_fields = candidate.fields.get(name), stable.fields.get(name)
            if candidate_fields is None or stable_fields is None:
                yield f"{_short(name)} is changed"
            else:
                changes = [
                    *_breaking_input_changes(stable_fields[0], candidate_fields[0]),
                    *_breaking_output_changes(stable_fields[1], candidate_fields[1]),
                ]
                if changes:
                    yield f"{_short(name)}: {_clauses_text(changes)}"


def _breaking_input_changes(fields_before: Fields, now: Fields) -> Iterator[str]:
    """Yield changes by which requests that stable accepts may be refused."""
    for path, types in sorted(fields_before.items()):
        name = _name_in(path, "the request")
        if path not in now:
            if not _changes_with_parent(path, fields_before, now):
                yield f"{name} is no longer accepted"
        elif removed_types := _types(types) - _types(now[path]):
            values = sorted(
                removed_type[1:] for removed_type in removed_types if removed_type.startswith("=")
            )
            if len(values) == len(removed_types):
                yield f"{name} no longer accepts {_short(', '.join(values))}"
            else:
                yield f"{name} {_difference_text(types, now[path])}"
        elif _is_required(now[path]) and not _is_required(types):
            yield f"{name} is required now"
    for path, types in sorted(now.items()):
        # Below a field that is new itself nothing was sent before.
        is_new = path not in fields_before and not _changes_with_parent(path, now, fields_before)
        if is_new and _is_required(types):
            yield f"{_name_in(path, 'the request')} is new and required"


def _breaking_output_changes(fields_before: Fields, now: Fields) -> Iterator[str]:
    """Yield changes by which parts of stable's answers may be missing."""
    for path, types in sorted(fields_before.items()):
        name = _name_in(path, "the answer")
        if path not in now:
            if not _changes_with_parent(path, fields_before, now):
                yield f"{name} is no longer returned"
        elif _types(types) != _types(now[path]):
            yield f"returned {name} {_difference_text(types, now[path])}"
        elif now[path].endswith("?") and not types.endswith("?"):
            yield f"{name} may be missing from the answer now"


def _changes_with_parent(path: str, own_fields: Fields, other_fields: Fields) -> bool:
    """Return whether a field's parent is added or removed too, so that only the parent is reported."""
    parent = path.rpartition(".")[0]
    for suffix in ("[]", "{}"):
        if path.endswith(suffix):
            parent = path.removesuffix(suffix)
    return parent != path and parent in own_fields and parent not in other_fields


def _difference_text(before: str, now: str) -> str:
    type_before, type_now = _readable_type(before), _readable_type(now)
    return (
        "has other limits now"
        if type_before == type_now
        else f"was {type_before} and is {type_now}"
    )


def _types(types: str) -> frozenset[str]:
    return frozenset(types.rstrip("!?").split("|"))


def _is_required(types: str) -> bool:
    return types.endswith("!")


def _readable_type(types: str) -> str:
    """Return a type as readable text; a digest stands for its constraints, such as a pattern or a maximum."""
    return _short(_LIMITS.sub(" with limits", types.rstrip("!?")).replace("|", " or "))


def _name_in(path: str, parent_path: str) -> str:
    return _short(path) if path else parent_path


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _clauses_text(clauses: list[str]) -> str:
    named_clauses = ", ".join(clauses[:MAX_NAMED])
    unnamed_changes = len(clauses) - MAX_NAMED
    return f"{named_clauses} and {unnamed_changes} more" if unnamed_changes > 0 else named_clauses


def sentence(changes_found: tuple[str, ...]) -> str:
    """Return the API changes as one sentence."""
    named_changes = "; ".join(changes_found[:MAX_NAMED])
    unnamed_changes = len(changes_found) - MAX_NAMED
    return f"{named_changes}; and {unnamed_changes} more" if unnamed_changes > 0 else named_changes
