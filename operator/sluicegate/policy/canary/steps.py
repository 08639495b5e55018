"""Steps of a canary: the share that a candidate has, and the one that it gets next."""

from collections.abc import Sequence

from sluicegate.api.versions import Candidate


def next_share(candidate: Candidate, steps: Sequence[int]) -> int | None:
    """Return the traffic share of the step after the candidate's present one, in percent; None after the last.

    Steps may have been edited since it took its share, which never leads to one that is smaller.
    """
    return next((share for share in steps if share > candidate.weight), None)


def step_of(candidate: Candidate, steps: Sequence[int]) -> int:
    """Return the number of the candidate's step, from 1, by its traffic share.

    The spec may have been edited since: what it has is its share, not a number of steps.
    """
    return max(sum(share <= candidate.weight for share in steps), 1)
