"""Consumers of a product whose outcomes are counted by the version that answered them."""

from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel
from sluicegate.api.list_types import Unique
from sluicegate.api.patterns import described
from sluicegate.api.route import PARENTS_RULE, ParentRef

MAX_CONSUMER_NAMES: Final = 16
"""Consumers that spec.rollout.consumers may name."""
OTHER_CONSUMERS: Final = "other"
"""Caller of a request without the name of one of the consumers."""
DRAW_HEADER: Final = "sluicegate-draw"
"""Header with the upstream that a request has a draw for; those with the prefixes of the draw begin with it."""

ConsumerName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z]([-a-z0-9]*[a-z0-9])?$",
            "must be a DataProduct: write its NAME, or NAMESPACE/NAME",
        ),
        max_length=104,
    ),
]
"""NAME in the own namespace, or NAMESPACE/NAME."""


class Consumers(ApiModel):
    """Consumers whose outcomes are counted by the version that answered them."""

    cel_rules: ClassVar = (PARENTS_RULE,)

    names: Annotated[
        tuple[ConsumerName, ...], Field(min_length=1, max_length=MAX_CONSUMER_NAMES), Unique()
    ]
    """Products that may hold a candidate up: `NAME` in the own namespace, or `NAMESPACE/NAME`. A
    consumer counts if it names this product in dependsOn, too."""
    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """Listeners that only consumers reach, each one of route.parentRefs: while a candidate has a
    share, a client of them can choose the version that answers it."""

    def keys(self, namespace: str) -> tuple[str, ...]:
        """Return the names as NAMESPACE/NAME, those without a namespace in `namespace`."""
        full_names = (name if "/" in name else f"{namespace}/{name}" for name in self.names)
        return tuple(dict.fromkeys(full_names))
