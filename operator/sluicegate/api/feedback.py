"""How the truth about predictions comes in."""

import re
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, HeaderName, Rule
from sluicegate.api.model import LocalRef
from sluicegate.api.patterns import described

FieldPath = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[^.\s]+(\.[^.\s]+)*$",
            "must be names of fields, separated by dots: write e.g. items.0.price",
        ),
        min_length=1,
        max_length=256,
    ),
]
"""Path within a JSON document: names of fields, and positions in lists from 0, separated by dots."""
_FOREIGN_SYNTAX: Final = r"^[$]([.]|$)|^/|(^|[.])[*]+([.]|$)|\[|\]"
"""Spellings of JSONPath, JMESPath and JSON Pointer, for Python and CEL."""


def plain_path_rule(field: str, attribute: str, *, is_list: bool = False) -> Rule:
    """Check that a path has only names and positions, as the library resolves no others.

    Parameters
    ----------
    field, attribute : name of the field in the spec, and of its attribute. is_list : it is a list of paths.
    """
    no_foreign_syntax = f"!{{}}.matches(r'{_FOREIGN_SYNTAX}')"
    cel_condition = (
        f"self.{field}.all(path, {no_foreign_syntax.format('path')})"
        if is_list
        else no_foreign_syntax.format(f"self.{field}")
    )

    def is_kept(self: ApiModel) -> bool:
        paths = getattr(self, attribute) or ()
        return not any(
            re.search(_FOREIGN_SYNTAX, path) for path in (paths if is_list else (paths or "",))
        )

    return Rule(
        cel=f"!has(self.{field}) || {cel_condition}",
        holds=is_kept,
        message=f"{field} has names and positions, separated by dots: write items.email for the email"
        " of all items, or items.0.email; not items.*.email, items[0].email, $.email or /email",
        field=field,
    )


class CallerId(ApiModel):
    """Part of a request that has the caller's own id of the prediction, of at most 128 characters."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.header) != has(self.field)",
            holds=lambda self: (self.header is None) != (self.field is None),
            message="set exactly one of header (of the request) and field (of its JSON)",
            field="header",
        ),
        plain_path_rule("field", "field"),
    )

    header: HeaderName | None = None
    """Name of the header, for example x-order-id."""
    field: FieldPath | None = None
    """Path in the request's JSON, for example order.id. The pod parses the request once more."""


class PredictionPlace(ApiModel):
    """The prediction in an answer, of a service that gives one a request.

    The pod signs it, and puts its token into the answer's header sluicegate-token. The answer
    itself stays as it is, and the service needs no code for it.
    """

    cel_rules: ClassVar = (plain_path_rule("field", "field"),)

    field: FieldPath | None = None
    """Path in the answer's JSON, for example label or scores.0; the whole answer when left out.
    An answer whose predictions the service's own code signs isn't read."""
    tolerance_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """A number is right if it is within this share of the truth, in percent. When left out, a
    prediction is right if it equals the truth. A service with a method `score` decides by itself."""
    id: CallerId | None = None
    """The caller's own id, which is bound to the token: of all predictions with the same id one
    counts."""


class Feedback(ApiModel):
    """Lets the truth about predictions come in over /feedback."""

    secret_ref: LocalRef
    """Secret with the keys hmac, optionally hmac-previous, and bearer, each of at least 16 bytes. You
    make it; pods mount it. Without it predictions carry no token and /feedback answers 503."""
    prediction: PredictionPlace | None = None
    """The prediction in an answer. Without it, the service's code signs predictions."""
