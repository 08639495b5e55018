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


def consumers_to_answer(status: DataProductStatus) -> frozenset[str]:
    """Return `namespace/name` of the consumers whose answer the status awaits."""
    approvals = _awaited_approvals(status)
    parties = () if approvals is None else approvals.waiting_for
    return frozenset(party for party in parties if "/" in party)


def _awaited_approvals(status: DataProductStatus) -> CandidateApprovals | None:
    """Return the approvals that the candidate waits for; None while it doesn't wait."""
    approvals = status.trial.approvals if status.trial is not None else None
    return approvals if approvals is not None and approvals.wait_start_time is not None else None


def _is_unlisted(status: DataProductStatus, path: str) -> bool:
    """Return whether status has no room for the name of this dependent, which the candidate waits for."""
    approvals = _awaited_approvals(status)
    if approvals is None or not approvals.more_waiting:
        return False
    answering_parties = (party_answer.party for party_answer in approvals.answers)
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
    upstream_news = [
        *_release_transitions(changes, status, upstream),
        *_suspension_transitions(cursors, status, upstream),
    ]
    consumers = consumers_to_answer(status)
    requests = [change for change in changes if change.kind is Kind.APPROVAL_REQUESTED]
    addressed_transitions: list[Transition] = []
    for origin in dependents:
        addressed_transitions += [_addressed_transition(change, origin) for change in upstream_news]
        if origin.path in consumers or _is_unlisted(status, origin.path):
            addressed_transitions += [
                _addressed_transition(_request(request, upstream, origin), origin)
                for request in requests
            ]
    return addressed_transitions


def _release_transitions(
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
            breaking_change = _of_upstream(change, Kind.UPSTREAM_BREAKS, upstream)
            yield replace(breaking_change, message=broken_text)
        if change.kind is Kind.PROMOTED and stable is not None and stable.version == change.version:
            yield from _deprecation_transition(change, stable, upstream)


def _deprecation_transition(
    change: Transition, stable: Version, upstream: Origin
) -> Iterator[Transition]:
    """Yield the transition of a promoted version that deprecates operations."""
    operations = stable.api_changes.deprecated if stable.api_changes is not None else ()
    if operations:
        text = f"{stable.version} deprecates {', '.join(operations)}"
        transition = _of_upstream(change, Kind.UPSTREAM_DEPRECATES, upstream)
        yield replace(transition, message=text, reason="")


def _suspension_transitions(
    cursors: tuple[Cursor, Cursor], status: DataProductStatus, upstream: Origin
) -> Iterator[Transition]:
    """Yield the transition of a suspended or resumed upstream."""
    previous_cursor, new_cursor = cursors
    if previous_cursor.paused == new_cursor.paused:
        return
    since_time, reason, message = condition_of(status, ConditionType.ROLLOUT_PROGRESSING)
    kind = Kind.UPSTREAM_SUSPENDED if new_cursor.paused else Kind.UPSTREAM_RESUMED
    time = max(since_time, status.last_refresh_time or 0)
    content = f"{upstream.uid or upstream.path}|{kind}|{previous_cursor.count}|{time}"
    if not new_cursor.paused:
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
    """Return the pending request for an answer, with the command that answers it."""
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


def _addressed_transition(change: Transition, origin: Origin) -> Transition:
    content = f"{change.id}|{change.kind}|{origin.uid or origin.path}"
    return replace(change, id=_digest(content), origin=origin)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
