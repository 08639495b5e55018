"""Constants and defaults by which the operator works: a diff here changes one of them.

Those of policy are in tests/unit/policy/test_thresholds.py.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

import sluicegate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGES = (
    "kube", "manifests", "measurement", "prometheus", "reconcile", "runtime", "slo", "stats",
)  # fmt: skip
PLAIN = (bool, int, float, str, bytes, type(None))


def modules_of(package: str) -> list[ModuleType]:
    """Each module of a package of ours."""
    base = importlib.import_module(f"{sluicegate.__name__}.{package}")
    found = pkgutil.walk_packages(base.__path__, f"{base.__name__}.")
    return [importlib.import_module(info.name) for info in found]


@pytest.mark.parametrize("package", PACKAGES)
def test_constants_and_defaults_are_as_their_golden_says(package, golden):
    golden(f"constants/{package}.txt", FOUND[package])


def lines(package: str) -> Iterator[str]:
    """A line for each that is read the same on each machine, and at each start."""
    for module in modules_of(package):
        for name, value in constants(module):
            if is_plain(value) and value not in ({}, []):  # what fills is no constant
                yield f"{name} = {shown(value)}"


def constants(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Each with the module, class or function that has it."""
    place = module.__name__.removeprefix(f"{sluicegate.__name__}.")
    for name in _assigned(module):
        yield f"{place}.{name}", getattr(module, name)
    for name, value in vars(module).items():
        if getattr(value, "__module__", "") == module.__name__:
            yield from _defaults(f"{place}.{name}", value)


def _assigned(module: ModuleType) -> Iterator[str]:
    for node in ast.parse(inspect.getsource(module)).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper():
                yield target.id


def _defaults(place: str, value: Any) -> Iterator[tuple[str, object]]:
    """Of a function's parameters, or of a class's fields and its methods' parameters."""
    if inspect.isfunction(value):
        parameters = inspect.signature(value).parameters.values()
        given = (one for one in parameters if one.default is not one.empty)
        yield from ((f"{place}({one.name})", one.default) for one in given)
    elif inspect.isclass(value):
        yield from ((f"{place}.{name}", one) for name, one in _members(value))
        for name, method in vars(value).items():
            is_written = inspect.isfunction(method) and method.__module__ == value.__module__
            if is_written and not (is_dataclass(value) and name == "__init__"):
                yield from _defaults(f"{place}.{name}", method)


def _members(value: type) -> Iterator[tuple[str, object]]:
    if issubclass(value, Enum):
        yield from ((member.name, member.value) for member in value)
    elif is_dataclass(value):
        given = (one for one in fields(value) if one.default is not MISSING)
        yield from ((one.name, one.default) for one in given)


def is_plain(value: object) -> bool:
    """Whether it is a value, and not an object of a process."""
    if isinstance(value, dict):
        return all(is_plain(one) for pair in value.items() for one in pair)
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(is_plain, value))
    if is_dataclass(value) and not isinstance(value, type):
        return all(is_plain(getattr(value, one.name)) for one in fields(value))
    return isinstance(value, (*PLAIN, Enum, re.Pattern))


def shown(value: object) -> str:
    """As it is written, with sets in an order."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(shown, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{shown(name)}: {shown(one)}' for name, one in value.items())}}}"
    if isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        return f"[{', '.join(map(shown, value))}]"
    return value.pattern if isinstance(value, re.Pattern) else repr(value)


FOUND = {package: list(lines(package)) for package in PACKAGES}
"""As they are imported: a test that did that would seem to execute it all, and caches fill."""
