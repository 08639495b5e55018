"""How the API of a version differs from that of the version before it."""

from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import Field

from sluicegate.api.base import StatusModel

LONGEST_API_CHANGE: Final = 200
"""Characters of a change of an API."""
MAX_API_CHANGES: Final = 16
ApiChange = Annotated[str, Field(max_length=LONGEST_API_CHANGE)]


class ApiChanges(StatusModel):
    """How the API of a version differs from that of the version before it; 16 of each kind at most."""

    added: Annotated[tuple[ApiChange, ...], Field(max_length=MAX_API_CHANGES)] = ()
    """Operations that it adds."""
    broken: Annotated[tuple[ApiChange, ...], Field(max_length=MAX_API_CHANGES)] = ()
    """Operations that it removes or changes, each with the fields."""
    deprecated: Annotated[tuple[ApiChange, ...], Field(max_length=MAX_API_CHANGES)] = ()
    """Operations that it deprecates."""

    @classmethod
    def of(
        cls, added: Sequence[str], broken: Sequence[str], deprecated: Sequence[str]
    ) -> Self | None:
        """Return the changes within their limits; None without any."""
        api_changes = cls(
            added=_shortened_list(added),
            broken=_shortened_list(broken),
            deprecated=_shortened_list(deprecated),
        )
        return api_changes if api_changes != cls() else None


def _shortened_list(changes: Sequence[str]) -> tuple[str, ...]:
    return tuple(change[:LONGEST_API_CHANGE] for change in changes[:MAX_API_CHANGES])
