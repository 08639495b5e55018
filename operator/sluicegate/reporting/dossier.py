"""The technical file of one product on a date, from its spec and its sealed ledgers. Pure.

It is evidence, not advice: it contains records, and never the claim that a product complies with a
law. Every number is from a sealed review with a valid digest, or from the spec; others are left out
and named.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sluicegate.api.approvals import ALL_CONSUMERS, ANY_CONSUMER
from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.api.review import DataProductReview
from sluicegate.reporting.text import escape_markup
from sluicegate.reviews.seal import digest_of
from sluicegate.views.numbers import percent
from sluicegate.views.words import as_words

SECTIONS = (
    ("general", "General description"),
    ("modelCard", "Model card"),
    ("risk", "Risk, as a person judged it"),
    ("oversight", "Owners and human oversight"),
    ("versions", "Versions"),
    ("performance", "Performance, by period"),
    ("decisions", "Changes and decisions"),
    ("incidents", "Incidents"),
    ("monitoring", "Monitoring plan"),
    ("readiness", "Readiness"),
    ("records", "Records"),
)
_INCIDENT_TYPES = frozenset({"Alert", "Rollback", "Retrain", "Inconclusive"})


def dossier_of(
    product: DataProduct | None, reviews: Iterable[DataProductReview], dossier_time: int
) -> dict[str, Any]:
    """Return the technical file as plain data.

    Parameters
    ----------
    product : its current state; None if it is deleted.
    reviews : of this product only. at : in seconds; only reviews that were sealed by then count.
    """
    sorted_reviews = sorted(reviews, key=lambda review: review.spec.period.start)
    sealed_reviews = [
        review
        for review in sorted_reviews
        if review.status.seal_time is not None and review.status.seal_time <= dossier_time
    ]
    verified_reviews = [
        review for review in sealed_reviews if review.status.digest == digest_of(review)
    ]
    altered_reviews = [
        review.metadata.name for review in sealed_reviews if review not in verified_reviews
    ]
    return {
        "at": rfc3339(dossier_time),
        "general": _general_part(product, sorted_reviews),
        "modelCard": _spec_part(product, "modelCard"),
        "risk": _spec_part(product, "compliance"),
        "oversight": _oversight_part(product, verified_reviews),
        "versions": _versions(verified_reviews),
        "performance": [row for review in verified_reviews for row in _performance_rows(review)],
        "decisions": [row for review in verified_reviews for row in _decisions(review)],
        "incidents": [
            row for review in verified_reviews for row in _decisions(review) if row["type"] in _INCIDENT_TYPES
        ],
        "monitoring": _monitoring_part(product),
        "readiness": [
            {"review": review.metadata.name, **check.to_dict()}
            for review in verified_reviews[-1:]
            for check in review.status.readiness
        ],
        "records": {
            "sealed": [
                {"review": review.metadata.name, "digest": review.status.digest,
                 "sealTime": rfc3339(review.status.seal_time), "days": len(review.status.days)}
                for review in verified_reviews if review.status.seal_time is not None
            ],
            "digestDoesNotHold": altered_reviews,
            "open": [review.metadata.name for review in sorted_reviews if review not in sealed_reviews],
            "retention": _retention_part(product),
        },
    }  # fmt: skip


def _general_part(
    product: DataProduct | None, reviews: Sequence[DataProductReview]
) -> dict[str, Any]:
    if product is None:
        deleted_product = f"{reviews[0].metadata.namespace}/{reviews[0].spec.product_ref.name}"
        return {
            "product": deleted_product,
            "note": "the product is deleted; its ledgers have the following",
        }
    spec = product.spec
    description = spec.description.to_dict() if spec.description else {}
    return {
        "product": "/".join(product.metadata.key),
        "name": spec.display_name or product.metadata.name,
        "version": spec.version or "",
        "lifecycle": str(spec.lifecycle),
        "domain": spec.domain or "",
        "markets": list(spec.markets),
        **description,
        "links": [f"{link.type}: {link.url}" for link in spec.links],
    }


def _spec_part(product: DataProduct | None, name: str) -> dict[str, Any]:
    """Return a part of the spec; empty if it isn't set."""
    spec = product.spec.to_dict() if product is not None else {}
    spec_part: dict[str, Any] = spec.get(name) or {}
    return spec_part


def _retention_part(product: DataProduct | None) -> str:
    review_cycle = product.spec.review if product is not None else None
    if review_cycle is None:
        return "no ledger is opened any more; a sealed one stays until its expiryTime"
    return (
        f"the {review_cycle.keep} newest sealed reviews (one a {review_cycle.every}) are kept in the cluster; the"
        " archive keeps what it was given"
    )


def _approval_text(product: DataProduct) -> str:
    """Return who agrees before a version is promoted: the parties of spec.rollout.approvals, or its approval."""
    approvals = product.spec.rollout.approvals
    if approvals is None:
        return str(product.spec.rollout.approval)
    choices: dict[tuple[str, ...], str] = {
        (ANY_CONSUMER,): "one of the consumers",
        (ALL_CONSUMERS,): "each consumer",
    }
    consumers = choices.get(tuple(approvals.consumers), ", ".join(approvals.consumers))
    return ", ".join(filter(None, (*approvals.roles, consumers)))


def _oversight_part(
    product: DataProduct | None, reviews: Sequence[DataProductReview]
) -> dict[str, Any]:
    team = product.spec.team.members if product is not None and product.spec.team else ()
    return {
        "owner": product.spec.owner if product is not None else "",
        "approval": _approval_text(product) if product is not None else "",
        "team": [
            {"username": team_member.username, "role": team_member.role} for team_member in team
        ],
        "signatures": [
            {"review": review.metadata.name, **sign_off.to_dict()}
            for review in reviews
            for sign_off in review.spec.sign_offs
        ],
    }


def _versions(reviews: Iterable[DataProductReview]) -> list[dict[str, Any]]:
    """Return each version once, from the newest ledger with it."""
    by_promotion: dict[tuple[str, str], dict[str, Any]] = {}
    for review in reviews:
        for version in review.status.versions:
            facts = version.replace(first_period=None).to_dict()  # nested: the report has it
            by_promotion[version.version, rfc3339(version.promotion_time)] = facts
    return [by_promotion[key] for key in sorted(by_promotion, key=lambda key: key[1])]


def _performance_rows(review: DataProductReview) -> Iterator[dict[str, Any]]:
    for slo in review.status.slos:
        counts = [
            slo_day
            for day in review.status.days
            for slo_day in day.slos
            if slo_day.name == slo.name
        ]
        yield {
            "review": review.metadata.name,
            "slo": slo.name,
            "bad": sum(count.bad for count in counts),
            "total": sum(count.total for count in counts),
            "objective": slo.objective or "",
            "acceptedBad": slo.accepted[0] if slo.accepted else "",
            "acceptedTotal": slo.accepted[1] if slo.accepted else "",
        }


def _decisions(review: DataProductReview) -> Iterator[dict[str, Any]]:
    for decision in review.status.decisions:
        yield {"review": review.metadata.name, **decision.to_dict()}


def _monitoring_part(product: DataProduct | None) -> dict[str, Any]:
    if product is None:
        return {}
    spec = product.spec
    return {
        "serviceLevels": [
            {
                "slo": slo.name,
                "indicator": str(slo.indicator.kind.value),
                "objective": slo.objective or "",
                "maxDrop": slo.max_drop or "",
                "onDegraded": str(slo.on_degraded),
            }
            for slo in spec.slos
        ],
        "review": spec.review.to_dict() if spec.review else {},
    }


def markdown(file: dict[str, Any]) -> str:
    """Render the technical file as Markdown: lists of fields, and tables for rows."""
    lines = [f"# Technical file of {file['general']['product']}, as of {file['at']}", ""]
    shares = [
        {**row, "good": percent(1 - row["bad"] / row["total"] if row["total"] else None)}
        for row in file["performance"]
    ]
    for key, title in SECTIONS:
        content = shares if key == "performance" else file[key]
        lines += [f"## {title}", "", *_text_lines(content), ""]
    lines.append("Records of the product; no statement that a law is met.")
    return "\n".join(lines) + "\n"


def _text_lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if not any(value.values()):
            yield "There are no records."
        for name, item in value.items():
            if isinstance(item, list) and item and isinstance(item[0], dict):
                yield from ("", f"{as_words(name).capitalize()}:", "", *_table(item), "")
            elif isinstance(item, dict) or item:
                yield f"- {as_words(name).capitalize()}: {escape_markup(_joined_text(item))}"
    elif value:
        yield from _table(value)
    else:
        yield "There are no records."


def _joined_text(value: Any) -> str:
    """Return a value in one line; empty parts are left out."""
    if isinstance(value, dict):
        return ", ".join(
            f"{as_words(name)} {_joined_text(review_entry)}"
            for name, review_entry in value.items()
            if review_entry
        )
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield "| " + " | ".join(map(as_words, columns)) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(escape_markup(str(row.get(name, ""))) for name in columns) + " |"
