"""The answer of a party to a candidate: an annotation of three lines, in the name of a person. Pure.

The role of a team answers on the product itself. A consumer answers on its own object, so that the
rights on the consumer decide who may, and the person needs none in the namespace of the other product.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from sluicegate.api.names import APPROVAL_GROUP
from sluicegate.views.request_notes import MAX_NOTE_LENGTH, RequestNote

AGREE: Final = "Agree"
REFUSE: Final = "Refuse"
MAX_NOTES: Final = 64
"""Annotations with answers that are read of one object."""
_ROLE_PREFIX: Final = f"{APPROVAL_GROUP}/"
_CONSUMER_INFIX: Final = f".{APPROVAL_GROUP}/"


@dataclass(frozen=True, slots=True)
class ApprovalNote:
    """A party's answer to a candidate, as an annotation.

    Attributes
    ----------
    verdict : Agree or Refuse. version : the version that the person saw.
    rollout : `status.candidate.approvals.id`, so that no answer counts for another candidate, or for another
        rollout of the same one.
    user, reason : who answers, and why; the chart's policy compares the user with the sender.
    """

    verdict: str
    version: str
    rollout: str
    user: str
    reason: str = ""

    @classmethod
    def parse(cls, annotation: object) -> Self | None:
        """Return the answer in an annotation; None for invalid text."""
        note = RequestNote.parse(annotation)
        words = [] if note is None else note.value.split("/")
        if note is None or len(words) != 3 or not note.user:  # noqa: PLR2004 - its parts
            return None
        verdict, version, rollout = words
        if verdict not in {AGREE, REFUSE} or not (version and rollout):
            return None
        return cls(verdict, version, rollout, note.user, note.reason)

    @property
    def annotation(self) -> str:
        """Return the value of the annotation."""
        value = f"{self.verdict}/{self.version}/{self.rollout}"
        return RequestNote.create(value, self.user, self.reason).annotation


def role_annotation(role: str) -> str:
    """Return the annotation on a product with the answer of a role of its team."""
    return f"{_ROLE_PREFIX}{role}"


def consumer_annotation(namespace: str, name: str) -> str:
    """Return the annotation on a consumer with its answer to the candidate of this product."""
    return f"{namespace}{_CONSUMER_INFIX}{name}"


def answer_annotations(annotations: object) -> tuple[tuple[str, str], ...]:
    """Return only those annotations of an object that are answers, by name."""
    annotation_map = annotations if isinstance(annotations, Mapping) else {}
    answers = (
        (name, value)
        for name, value in sorted(annotation_map.items(), key=lambda item: str(item[0]))
        if isinstance(name, str) and (name.startswith(_ROLE_PREFIX) or _CONSUMER_INFIX in name)
        if isinstance(value, str) and len(value) <= MAX_NOTE_LENGTH
    )
    return tuple(answer for answer, _ in zip(answers, range(MAX_NOTES), strict=False))


def role_answers(annotations: Mapping[str, str]) -> Iterator[tuple[str, ApprovalNote]]:
    """Yield the answers of roles on a product, with the role."""
    for name, value in annotations.items():
        note = ApprovalNote.parse(value) if name.startswith(_ROLE_PREFIX) else None
        if note is not None:
            yield name.removeprefix(_ROLE_PREFIX), note


def answered_products(annotations: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the products whose candidates a consumer answers: namespace, name, and the annotation's value."""
    for name, value in annotations.items():
        namespace, separator, product = name.partition(_CONSUMER_INFIX)
        if separator:
            yield namespace, product, value
