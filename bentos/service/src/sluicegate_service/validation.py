"""Limits on the cost of an invalid body.

pydantic collects every error, and BentoML answers with all of them: a megabyte of `{},{},…` for a
list of numbers took half a gigabyte and three seconds in which not even the probes were answered.
Here lists are abandoned at their first invalid item, and an answer has a few errors.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED_ERRORS: Final = 100
_COLLECTIONS: Final = frozenset({"list", "tuple", "set", "frozenset", "generator"})
_UNREADABLE: Final = (HTTPException, RecursionError, ValueError)
"""Errors of a body that is no JSON or no form; BentoML would answer 500."""
log = logging.getLogger("sluicegate.launcher")


def bound_validation(service: Any) -> None:
    """Limit the cost of reading the inputs of a service's routes; call it before `to_asgi`."""
    for api in service.apis.values():
        _stop_at_the_first_error(api.input_spec)
        _say_little(api.input_spec)


def _stop_at_the_first_error(model: Any) -> None:
    schema = model.__pydantic_core_schema__
    for part in _collections(schema):
        part["fail_fast"] = True
    try:
        # Otherwise pydantic uses the validator that the class already has.
        model.__pydantic_validator__ = SchemaValidator(schema, None, _use_prebuilt=False)
    except (SchemaError, TypeError):
        log.warning("inputs of %s are validated without a bound", model.__name__, exc_info=True)


def _collections(part: Any) -> Iterator[dict[str, Any]]:
    """Yield the schemas of collections within a core schema."""
    if isinstance(part, dict):
        if part.get("type") in _COLLECTIONS:
            yield part
        for name, value in part.items():
            if name not in ("metadata", "serialization", "default"):
                yield from _collections(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _collections(value)


def _say_little(model: Any) -> None:
    from bentoml.exceptions import BadInput  # noqa: PLC0415 - reads the environment when imported

    original = model.from_http_request

    @functools.wraps(original)
    async def from_http_request(_model: Any, request: Any, serde: Any) -> Any:
        try:
            return await original(request, serde)
        except ValidationError as error:
            if error.error_count() <= LISTED_ERRORS:
                raise
            message = f"{error.error_count()} validation errors for {error.title}"
        except _UNREADABLE as error:
            message = f"the body can't be read: {str(error) or type(error).__name__}"
        raise BadInput(message)

    model.from_http_request = classmethod(from_http_request)
