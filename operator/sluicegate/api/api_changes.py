"""How the API of a version differs from that of the version before it."""

from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import Field

from sluicegate.api.base import StatusModel

LONGEST_API_CHANGE: Final = 200
"""Characters of a change of an API."""
MOST_API_CHANGES: Final = 16
ApiChange = Annotated[str, Field(max_length=LONGEST_API_CHANGE)]


class ApiChanges(StatusModel):
    """How the API of a version differs from that of the version before it; 16 of each kind at most."""

    added: Annotated[tuple[ApiChange, ...], Field(max_length=MOST_API_CHANGES)] = ()
    """Operations that it adds."""
    broken: Annotated[tuple[ApiChange, ...], Field(max_length=MOST_API_CHANGES)] = ()
    """Operations that it removes or changes, each with the fields."""
    deprecated: Annotated[tuple[ApiChange, ...], Field(max_length=MOST_API_CHANGES)] = ()
    """Operations that it deprecates."""

    @classmethod
    def of(
        cls, added: Sequence[str], broken: Sequence[str], deprecated: Sequence[str]
    ) -> Self | None:
        """Return the changes within their limits; None without any."""
        made = cls(added=_cut(added), broken=_cut(broken), deprecated=_cut(deprecated))
        return made if made != cls() else None


def _cut(changes: Sequence[str]) -> tuple[str, ...]:
    return tuple(change[:LONGEST_API_CHANGE] for change in changes[:MOST_API_CHANGES])
