"""Lists that are maps or sets: unique for us, and declared so to the API server."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def _refuse_duplicates(keys: list[Any]) -> None:
    for position, key in enumerate(keys):
        if key in keys[:position]:
            text = "/".join(map(str, key)) if isinstance(key, tuple) else str(key)
            raise PydanticCustomError(
                "duplicate", "{key} is there twice: each may come once", {"key": text}
            )


@dataclass(frozen=True)
class Keyed:
    """A list whose items these attributes identify; merged item by item when applied."""

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
            _refuse_duplicates([tuple(getattr(item, key) for key in self.keys) for item in items])
            return items

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [to_camel(key) for key in self.keys],
        }


@dataclass(frozen=True)
class Unique:
    """A list of values of which each may come once."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(items: tuple[Any, ...]) -> tuple[Any, ...]:
            _refuse_duplicates(list(items))
            return items

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"x-kubernetes-list-type": "set"}
