"""The chart's schema accepts the settings that the programs accept, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic.alias_generators import to_camel

from sluicegate.errors import InvalidInput
from sluicegate.notify.configuration import parse
from sluicegate.settings import InvalidSettings, Settings, parse_settings, variable

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "sluicegate"
FACTS = json.loads((CHART / "files" / "settings.json").read_text(encoding="utf-8"))
TEXTS = (
    "", "abc", "a b", "Abc", "http://", "http:// x", "https://a.example:9090/prefix/", "http://[::1]:9090",
    "http://user:word@a", "ftp://a", "a:1", "a:1,b.example", "/var/run/token", "token", "a, b", "a,,", "Debug",
    "DEBUG", "None", "traefik", "registry.example/runtime:1", "http://a?b=1",
)  # fmt: skip


@cache
def validator(definition: str) -> Draft202012Validator:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator({"$ref": f"#/$defs/program.{definition}", "$defs": schema["$defs"]})


def operator_accepts(name: str, value: Any) -> bool:
    """Whether the type of a setting takes a value; what contradicts other settings is the template's."""
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    try:
        parse_settings({variable(name): text})
    except InvalidSettings as error:
        return not any(problem.message.startswith('is "') for problem in error.problems)
    return True


def values_of(name: str) -> list[Any]:
    bounds = FACTS["numbers"].get(variable(name))
    if bounds is None:
        return [True, False] if isinstance(Settings.model_fields[name].default, bool) else [*TEXTS]
    low, high = bounds["minimum"], bounds["maximum"]
    return [low - 1, low, low + 0.5, high, high + 1]


def test_the_chart_schema_is_generated_from_the_programs():
    command = [sys.executable, ROOT / ".ci/chart_schema.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        model_field
        for model_field in Settings.model_fields
        if to_camel(model_field) in FACTS["variables"]
    ],
)
def test_the_chart_schema_refuses_exactly_the_values_that_the_operator_refuses(name):
    key = to_camel(name)
    for value in values_of(name):
        accepted = validator("settings").is_valid({key: value})
        assert accepted is operator_accepts(name, value), value
        # The same as a variable; its bounds in text are checked by the template.
        if accepted:
            text = json.dumps(value) if isinstance(value, bool) else str(value)
            assert validator("extraSettings").is_valid({variable(name): text}), value


def test_a_chart_number_of_the_wrong_type_is_refused_before_the_operator_starts():
    for value in ("4", "many", True, [4]):
        assert not validator("settings").is_valid({"workers": value})


SINKS = {
    "bus": {"kind": "CloudEvents", "url": "https://bus.example/in", "mode": "Binary"},
    "pager": {"kind": "Alertmanager", "urlFile": "/secrets/pager"},
    "chat": {"kind": "Apprise", "urlFile": "/secrets/chat"},
}
TO_BUS = [{"to": ["bus"]}]
CONFIGURATIONS = {
    "complete": ({"sinks": SINKS, "routes": TO_BUS}, True),
    "with a digest": (
        {"sinks": SINKS, "routes": TO_BUS, "digests": [{"at": "08:30", "to": ["chat"]}]}, True,
    ),
    "without sinks": ({"cluster": "x"}, False),
    "a kind that is none": ({"sinks": {"a": {"kind": "Slack"}}, "routes": TO_BUS}, False),
    "a field that is none": (
        {"sinks": {"a": {"kind": "CloudEvents", "uri": "https://a"}}, "routes": TO_BUS}, False,
    ),
    "an Apprise sink without a file": ({"sinks": {"bus": {"kind": "Apprise"}}, "routes": TO_BUS}, False),
    "an address without a host": (
        {"sinks": {"bus": {"kind": "CloudEvents", "url": "https://"}}, "routes": TO_BUS}, False,
    ),
    "an address with a password": (
        {"sinks": {"bus": {"kind": "CloudEvents", "url": "https://a:b@c"}}, "routes": TO_BUS}, False,
    ),
    "a name with capitals": ({"sinks": {"Bus": SINKS["bus"]}, "routes": [{"to": ["Bus"]}]}, False),
    "an unknown transition": (
        {"sinks": SINKS, "routes": [{"to": ["bus"], "when": {"type": ["promote"]}}]}, False,
    ),
    "a route to nowhere": ({"sinks": SINKS, "routes": [{"to": []}]}, False),
    "a time of day that is none": (
        {"sinks": SINKS, "routes": TO_BUS, "digests": [{"at": "25:00", "to": ["chat"]}]}, False,
    ),
    "a number beyond its bound": ({"sinks": SINKS, "routes": TO_BUS, "foldSeconds": 90_000}, False),
}  # fmt: skip


@pytest.mark.parametrize(("configuration", "usable"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_chart_schema_refuses_a_configuration_that_the_messenger_refuses(configuration, usable):
    assert validator("notify").is_valid(configuration) is usable
    try:
        parse(configuration)
    except InvalidInput:
        assert not usable
    else:
        assert usable


def test_the_chart_schema_accepts_a_missing_messenger_configuration():
    assert validator("notify").is_valid({})
