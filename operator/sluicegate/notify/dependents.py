"""Messages to the owners of products that depend on another one, from the transitions of that one. Pure.

A dependent gets them by its own routes, as its owner has others than that of the upstream. Nothing is
written in its status, and a product without dependents has none.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from sluicegate.api.approvals import CandidateApprovals
from sluicegate.api.names import REQUEST_PROMOTE, ConditionReason, ConditionType
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Version
from sluicegate.notify.catalogue import Kind
from sluicegate.notify.cursor import Cursor, condition_of
from sluicegate.notify.transitions import Origin, Transition
from sluicegate.views.needs import answer_command

RELEASES: Final[Mapping[Kind, Kind]] = {
    Kind.ROLLOUT_STARTED: Kind.UPSTREAM_STARTED,
    Kind.ROLLOUT_ADVANCED: Kind.UPSTREAM_ADVANCED,
    Kind.PROMOTED: Kind.UPSTREAM_PROMOTED,
    Kind.ROLLED_BACK: Kind.UPSTREAM_ENDED,
    Kind.ROLLOUT_INCONCLUSIVE: Kind.UPSTREAM_ENDED,
}
"""Transitions of the upstream that its dependents receive, with their type there."""


def asked_consumers(status: DataProductStatus) -> frozenset[str]:
    """Return `namespace/name` of the consumers that status lists and whose answer it waits for now."""
    approvals = _awaited(status)
    parties = () if approvals is None else approvals.waiting_for
    return frozenset(party for party in parties if "/" in party)


def _awaited(status: DataProductStatus) -> CandidateApprovals | None:
    """Return the approvals that the candidate waits for; None while it doesn't wait."""
    approvals = status.trial.approvals if status.trial is not None else None
    return approvals if approvals is not None and approvals.wait_start_time is not None else None


def _is_unlisted(status: DataProductStatus, path: str) -> bool:
    """Return whether status has no room for the name of this dependent, which the candidate waits for."""
    approvals = _awaited(status)
    if approvals is None or not approvals.more_waiting:
        return False
    answering_parties = (answer.party for answer in approvals.answers)
    return path not in {*approvals.waiting_for, *answering_parties}


def to_dependents(
    changes: Iterable[Transition],
    cursors: tuple[Cursor, Cursor],
    status: DataProductStatus,
    *,
    upstream: Origin,
    dependents: Iterable[Origin],
) -> list[Transition]:
    """Convert the transitions of an upstream product into those that its dependent products report.

    Parameters
    ----------
    changes : of the upstream, with their ids. cursors : of the upstream, before and after.
    status : of the upstream. dependents : products that depend on it, or that it asks for an answer.
    """
    news = [*_releases(changes, status, upstream), *_suspensions(cursors, status, upstream)]
    consumers = asked_consumers(status)
    requests = [change for change in changes if change.kind is Kind.APPROVAL_REQUESTED]
    addressed: list[Transition] = []
    for origin in dependents:
        addressed += [_addressed(change, origin) for change in news]
        if origin.path in consumers or _is_unlisted(status, origin.path):
            addressed += [
                _addressed(_request(request, upstream, origin), origin) for request in requests
            ]
    return addressed


def _releases(
    changes: Iterable[Transition], status: DataProductStatus, upstream: Origin
) -> Iterator[Transition]:
    stable = status.stable
    for change in changes:
        kind = RELEASES.get(change.kind)
        if kind is Kind.UPSTREAM_ENDED and stable is not None:
            now = f"{stable.version} of {upstream.path} is stable"
            yield replace(_of_upstream(change, kind, upstream), now=now)
        elif kind is not None:
            yield _of_upstream(change, kind, upstream)
        if change.kind is Kind.APPROVAL_REQUESTED and change.reason == ConditionReason.API_CHANGED:
            # What the owner of the upstream may do is nothing that the owner of a dependent can do.
            broken_text = change.message.partition(f". Set {REQUEST_PROMOTE}=")[0]
            breaks = _of_upstream(change, Kind.UPSTREAM_BREAKS, upstream)
            yield replace(breaks, message=broken_text)
        if change.kind is Kind.PROMOTED and stable is not None and stable.version == change.version:
            yield from _deprecation(change, stable, upstream)


def _deprecation(change: Transition, stable: Version, upstream: Origin) -> Iterator[Transition]:
    """Yield that the promoted version deprecates operations of the version before it."""
    operations = stable.api_changes.deprecated if stable.api_changes is not None else ()
    if operations:
        text = f"{stable.version} deprecates {', '.join(operations)}"
        transition = _of_upstream(change, Kind.UPSTREAM_DEPRECATES, upstream)
        yield replace(transition, message=text, reason="")


def _suspensions(
    cursors: tuple[Cursor, Cursor], status: DataProductStatus, upstream: Origin
) -> Iterator[Transition]:
    """Yield that the upstream is suspended, or resumed."""
    before, after = cursors
    if before.paused == after.paused:
        return
    since, reason, message = condition_of(status, ConditionType.ROLLOUT_PROGRESSING)
    kind = Kind.UPSTREAM_SUSPENDED if after.paused else Kind.UPSTREAM_RESUMED
    time = max(since, status.last_refresh_time or 0)
    content = f"{upstream.uid or upstream.path}|{kind}|{before.count}|{time}"
    if not after.paused:
        reason, message = "", "spec.suspend is unset: its rollouts and retrainings begin again"
    yield Transition(
        _digest(content),
        kind,
        upstream,
        time,
        reason=reason,
        message=message,
        upstream=upstream.path,
    )


def _request(change: Transition, upstream: Origin, origin: Origin) -> Transition:
    """Return the request of an answer, with the command that gives it."""
    command = answer_command((upstream.namespace, upstream.name), change.version, origin.path)
    return replace(
        _of_upstream(change, Kind.UPSTREAM_ASKS, upstream), needs_person=True, command=command
    )


def _of_upstream(change: Transition, kind: Kind, upstream: Origin) -> Transition:
    return replace(
        change,
        kind=kind,
        upstream=upstream.path,
        needs_person=False,
        command="",
        now="",
        decision=None,
    )


def _addressed(change: Transition, origin: Origin) -> Transition:
    content = f"{change.id}|{change.kind}|{origin.uid or origin.path}"
    return replace(change, id=_digest(content), origin=origin)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
