"""The log of iterations: what was tried with each version, and what it brought. Pure; the standard library alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sluicegate.views.lift import brought_text, headline_lift, lift_document
from sluicegate.views.product import entries, lifts_of, section
from sluicegate.views.trials import origin_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Body = dict[str, Any]

_HOLD_OUT_REASONS: Final = frozenset(
    {"WorseOnHoldOut", "HoldOutTooSmall", "NotShownBetter", "ServingSkew", "CodeNotData"}
)
"""Reasons of trainings whose version got no rollout; a test compares them with those of the API."""
COLUMNS: Final = (
    "endTime", "version", "hypothesis", "author", "ticket", "gitRevision", "origin", "outcome",
    "reason", "slo", "gain", "lower", "upper", "digest",
)  # fmt: skip
"""Columns of the log as CSV; gain and its 95 % interval are of the SLO that the version is about."""


def iterations(product: Body, reviews: Iterable[Body]) -> list[Body]:
    """Return each version that was tried, the newest first, from the kept reviews and from status.

    Each has version, digest, what its author states, origin, outcome, reason, endTime, slo, gain and
    interval, and all lifts; what is not known is left out. A version that is tried now has no endTime.
    """
    version_by_identity: dict[tuple[str, str, str], Body] = {}
    uid = section(product, "metadata").get("uid")
    for review in reviews:
        if section(review, "spec", "productRef").get("uid", uid) in {uid, ""}:
            for version in entries(review, "status", "candidates"):
                version_by_identity[_identity(version)] = version
    for version in _versions_of_status(section(product, "status")):
        version_by_identity[_identity(version)] = version
    sorted_versions = sorted(
        version_by_identity.values(),
        key=lambda version: str(version.get("endTime") or "9"),
        reverse=True,
    )
    return [_entry(version) for version in sorted_versions]


def rows(log: Iterable[Body]) -> Iterator[tuple[object, ...]]:
    """Yield a row of COLUMNS for each entry of the log."""
    for entry in log:
        interval = entry.get("interval", [None, None])
        cells = entry | {"lower": interval[0], "upper": interval[1]}
        yield tuple(cells.get(name) for name in COLUMNS)


def _versions_of_status(status: Body) -> Iterator[Body]:
    """Yield the versions that status knows, in the form of a ledger."""
    candidate, stable = section(status, "candidate"), section(status, "stable")
    if candidate and not candidate.get("restoring"):
        yield candidate | {"outcome": candidate.get("phase"), "endTime": None}
    yield from _rejected_training(section(status, "retraining", "lastResult"))
    for version in ([stable] if stable else []) + entries(status, "history"):
        verdict = section(version, "verdict")
        was_stable = bool(version.get("promotionTime"))
        if version.get("restored"):
            continue  # its own canary ended before, and the ledger has it
        yield version | {
            "outcome": "Promoted" if was_stable else version.get("outcome"),
            "reason": verdict.get("reason") or (None if was_stable else version.get("reason")),
            "endTime": version.get("promotionTime") or version.get("endTime"),
        }


def _rejected_training(result: Body) -> Iterator[Body]:
    """Yield the version of the newest training if its hold-out refused it."""
    rows, stable_rows = section(result, "evaluation"), section(result, "stableEvaluation")
    if result.get("version") and result.get("reason") in _HOLD_OUT_REASONS:
        arms = [
            {"name": slo, "candidate": rows[slo], "stable": stable_rows[slo], "holdOut": True}
            for slo in rows.keys() & stable_rows.keys()
        ]
        yield {
            "version": result["version"],
            "image": result.get("image", ""),
            "source": "Retraining",
            "outcome": "Rejected",
            "reason": result["reason"],
            "endTime": result.get("completionTime"),
            "verdict": {
                "reason": result["reason"],
                "slos": sorted(arms, key=lambda arm: arm["name"]),
            },
        }


def _identity(version: Body) -> tuple[str, str, str]:
    return str(version.get("version")), _digest(version), str(version.get("endTime") or "")


def _digest(version: Body) -> str:
    image = str(version.get("image", "")).rpartition("sha256:")[2]
    return str(version.get("digest") or (f"sha256:{image}" if image else ""))


def _entry(version: Body) -> Body:
    lifts = lifts_of(version if "verdict" in version else {"verdict": version})
    main = headline_lift(lifts, str(version.get("causeSlo", "")))
    entry = {name: version.get(name) for name in ("version", "outcome", "reason", "endTime")} | {
        "digest": _digest(version),
        **section(version, "iteration"),
        "origin": origin_text(version),
        "brought": brought_text(lifts, main),
        "slo": None if main is None else main.slo,
        "gain": None if main is None else main.gain,
        "interval": None if main is None else [main.lower, main.upper],
        "lifts": [{"slo": lift.slo, **lift_document(lift)} for lift in lifts],
    }
    return {name: value for name, value in entry.items() if value not in (None, "", [])}
