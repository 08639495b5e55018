"""Errors of commands in the formats that programs read."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

import sluicegate.cli
from sluicegate.__main__ import main

SCHEMA = json.loads(
    (Path(sluicegate.cli.__file__).parent / "schemas" / "output.json").read_text(encoding="utf-8")
)
ERRORS = {
    "a file": (["plan", "/nowhere/a.yaml"], "/nowhere/a.yaml"),
    "a manifest": (["check", "/nowhere/a.yaml"], "/nowhere/a.yaml"),
    "an option": (["plan", "/nowhere/a.yaml", "--colour"], "--colour"),
    "a missing argument": (["simulate"], "FILE"),
    "a sub-command": (["review", "sign", "pricing/pricing", "--kubeconfig", "/nowhere"], "there is no /nowhere"),
    "a cluster": (["get", "--kubeconfig", "/nowhere"], "/nowhere"),
}  # fmt: skip


def exit_code_of(words):
    try:
        return main(words)
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize(("words", "named"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("option", [["-o", "json"], ["-ojson"], ["--output=json"]], ids=" ".join)
def test_an_error_with_json_output_is_a_document_with_the_exit_code(words, named, option, capsys):
    exit_code = exit_code_of([*words, *option])
    streams = capsys.readouterr()
    error = json.loads(streams.out)
    jsonschema.validate(error, SCHEMA)
    assert (error["kind"], error["exitCode"]) == ("CommandError", exit_code)
    assert exit_code in {1, 2}
    assert named in error["message"]
    assert error["message"].splitlines()[0] in streams.err


def test_an_error_with_junit_output_is_an_error_of_the_suite(capsys):
    assert (
        main(["plan", "/nowhere/a.yaml", "--changes", "-o", "junit", "--kubeconfig", "/nowhere"])
        == 2
    )
    suite = ET.fromstring(capsys.readouterr().out)
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")
    assert "/nowhere" in suite.find("testcase/error").get("message")


@pytest.mark.parametrize(
    "words",
    [["plan", "/nowhere/a.yaml"], ["record", "a/b", "-o", "json"], ["replay", "/nowhere/a.yaml"]],
    ids=" ".join,
)
def test_an_error_without_a_format_of_programs_writes_nothing_to_standard_output(
    words, capsys, monkeypatch
):
    monkeypatch.delenv("SLUICEGATE_PROMETHEUS_URL", raising=False)
    assert exit_code_of(words) in {1, 2}
    assert capsys.readouterr().out == ""
