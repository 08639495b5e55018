"""The mutants fit the code that they are to change, and those that are drawn are what they say."""

from __future__ import annotations

import ast
import os

import pytest
from coverage import CoverageData

from tests.mutants.covering import Covering, importing
from tests.mutants.forked import Ended, patient, run_forked
from tests.mutants.mutant import CODE, ROOT, Mutant, NotApplicableError, named_mutants
from tests.mutants.running import Fate, judged, nearest_first
from tests.mutants.sites import Sites, drawn_mutants, sources

NAMED = {named_mutant.name: named_mutant for named_mutant in named_mutants()}


@pytest.mark.parametrize("mutant", NAMED.values(), ids=NAMED)
def test_a_named_mutant_changes_exactly_one_place_of_the_code(mutant: Mutant):
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutant.applied(text)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert mutant.lines(text)


@pytest.mark.parametrize("text", ["a = 1\n", "a = 2\nb = 2\n"])
def test_a_mutants_place_that_is_missing_or_ambiguous_is_an_error(text):
    with pytest.raises(NotApplicableError, match=r"x: policy/a\.py holds '2'"):
        Mutant("x", "policy/a.py", "2", "3", "").applied(text)


def test_the_lines_of_a_mutant_are_the_lines_that_differ_from_the_source():
    before, text = "b = 1\nc = 1\nd = 1", "a = 1\nb = 1\nc = 1\nd = 1\ne = 1\n"
    assert list(Mutant("x", "", before, "b = 1\nc = 2\nd = 1", "").lines(text)) == [3, 4]
    assert list(Mutant("x", "", "c = 1", "c = 2", "").lines(text)) == [3]


@pytest.mark.parametrize(
    ("source", "imports"),
    [
        ("from sluicegate.stats.gauge import beyond_bound", True),
        ("from sluicegate.stats import gauge", True),
        ("from sluicegate.stats import (\n    cusum,\n    gauge,\n)", True),
        ("def f():\n    from sluicegate.stats import gauge as g", True),
        ("import re\n\nimport sluicegate\n", True),
        ("from sluicegate import stats\n", True),
        ("from sluicegate import slo\n", False),
        ("from sluicegate.stats import (\n    cusum,\n)\ngauge = 1", False),
        ("from sluicegate.stats.gauges import x\nfrom sluicegate.api import gauge", False),
    ],
)
def test_a_mutated_constant_is_tested_by_each_test_file_that_imports_its_module(
    tmp_path, source, imports
):
    test = tmp_path / "tests" / "unit" / "stats" / "test_x.py"
    test.parent.mkdir(parents=True)
    test.write_text(source, encoding="utf-8")
    found = importing(CODE / "stats" / "gauge.py", tmp_path)
    assert found == ({"tests/unit/stats/test_x.py"} if imports else set())


LISTED = """\
LIMIT = 3

async def listed(wanted):
    first = await wanted
    if first > LIMIT:
        return LIMIT
    return first

def unlisted():
    return LIMIT
"""


@pytest.mark.parametrize(
    ("line", "tests"),
    [
        (4, {"tests/unit/test_a.py::test_b", "tests/unit/test_a.py::test_c"}),
        (5, {"tests/unit/test_a.py::test_b"}),
        (6, {"tests/unit/test_a.py::test_b", "tests/unit/test_a.py::test_c"}),
        (10, set()),
    ],
)
def test_a_mutated_line_without_coverage_is_tested_by_the_tests_of_previous_lines(
    tmp_path, line, tests
):
    code = tmp_path / CODE / "stats" / "listed.py"
    code.parent.mkdir(parents=True)
    code.write_text(LISTED, encoding="utf-8")
    data = CoverageData(no_disk=True)
    for test, lines in (("b", [4, 5]), ("c", [4])):
        data.set_context(f"tests/unit/test_a.py::test_{test}|run")
        data.add_lines({str(code): lines})
    covering = Covering(data, tmp_path)
    assert covering.tests(CODE / "stats" / "listed.py", [line]) == tests


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("if a:\n    return", ["if False:\n    return"]),
        ("if a:\n    b = c", []),
        ("a and b", ["(b)", "(a)"]),
        ("a or b or c", ["(b or c)", "(a or c)", "(a or b)"]),
        ("not a", ["bool(a)"]),
        ("a < b <= c", ["a <= b <= c", "a < b < c"]),
        ("a is not b", ["a is b"]),
        ("a not in b", ["a in b"]),
        ("a = 3", ["a = (2)", "a = (4)"]),
        ("a = True", ["a = False"]),
        ("f(a, b.c, d)", ["f(b.c, a, d)"]),
        ("f(a, 'x')", []),
        ("max(a, b)", []),
        ("logger.info(a, b)", []),
        ("assert a < b", []),
        ("f'{a < b}'", []),
        ("def f(a: int = 1): ...", ["def f(a: int = (0)): ...", "def f(a: int = (2)): ..."]),
    ],
)
def test_each_code_pattern_has_its_mutants(source, changed):
    found = Sites(source)
    found.visit(ast.parse(source))
    made = [
        source[: change.begin] + change.after + source[change.end :] for change in found.changes
    ]
    assert sorted(map(plain, made)) == sorted(map(plain, changed))


def plain(source: str) -> str:
    """Code without parentheses that change nothing."""
    return ast.unparse(ast.parse(source))


def test_mutants_are_drawn_from_the_subpackages_of_a_package():
    files = {path.relative_to(ROOT / CODE).as_posix() for path in sources(where=["policy"])}
    assert {"policy/evaluate.py", "policy/canary/evidence_gathering.py"} <= files


@pytest.mark.slow
def test_the_same_seed_draws_the_same_mutants():
    first, again, other = (drawn_mutants(20, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({one.name for one in first}) == 20


def test_mutants_are_drawn_from_the_requested_packages_and_modules():
    files = {
        drawn_mutant.file
        for drawn_mutant in drawn_mutants(30, 1, where=("kube", "runtime/leader_election.py"))
    }
    assert all(file.startswith("kube/") or file == "runtime/leader_election.py" for file in files)
    assert len(files) > 1


@pytest.mark.slow
def test_drawn_mutants_are_valid_python_and_differ_from_the_code():
    for mutant in drawn_mutants(20, 3):
        text = (ROOT / mutant.path).read_text(encoding="utf-8")
        changed = mutant.applied(text)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), mutant.name
        assert text[mutant.at :].startswith(mutant.before), mutant.name


def test_the_nearest_tests_of_a_mutant_run_first_and_long_stories_last():
    files = {
        "tests/golden/test_stories.py",
        "tests/unit/kube/test_apply.py",
        "tests/unit/policy/canary/test_evidence_gathering.py",
        "tests/unit/policy/canary/test_verdict.py",
        "tests/unit/policy/test_evaluate.py",
        "tests/unit/virtual/test_faults.py",
    }
    assert nearest_first(files, "policy/canary/evidence_gathering.py") == [
        ["tests/unit/policy/canary/test_evidence_gathering.py"],
        ["tests/unit/policy/canary/test_verdict.py", "tests/unit/policy/test_evaluate.py"],
        ["tests/unit/kube/test_apply.py"],
        ["tests/golden/test_stories.py", "tests/unit/virtual/test_faults.py"],
    ]


@pytest.mark.parametrize(
    ("code", "output", "outcome", "by"),
    [
        (0, "2 passed", Fate.SURVIVED, ""),
        (5, "no tests ran", Fate.SURVIVED, ""),
        (1, "x\nFAILED a.py::b[c d] - assert 1\n", Fate.KILLED, "a.py::b[c d]"),
        (2, "ERROR a.py\n", Fate.KILLED, "a.py"),
        (1, "+++ Timeout +++\n", Fate.KILLED, "a test that doesn't end"),
        (4, "ERROR: usage\nsay\nwhat\nis wrong", Fate.UNFINISHED, "say what is wrong"),
        (-9, "..", Fate.UNFINISHED, ".."),
        (None, "..", Fate.UNFINISHED, "longer than 900 s"),
    ],
)
def test_the_exit_code_of_a_test_run_decides_on_its_mutant(code, output, outcome, by):
    verdict = judged(NAMED["P05"], Ended(code, output), 7)
    assert (verdict.fate, verdict.by, verdict.tests) == (outcome, by, 7)


@pytest.mark.parametrize(("load", "seconds"), [(0.5, 60), (2, 60), (8, 240)])
def test_the_mutant_timeout_is_longer_on_a_busy_machine(monkeypatch, load, seconds):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0, 0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert patient(60) == seconds


@pytest.fixture
def copy(tmp_path):
    """A tree whose module a test imports."""
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "mutated.py").write_text("VALUE = 2\n", encoding="utf-8")
    (tmp_path / "test_value.py").write_text(VALUES, encoding="utf-8")
    return tmp_path


VALUES = """\
import threading
from mutated import VALUE

def test_passes():
    assert VALUE == 2

def test_fails():
    assert VALUE == 1

def test_hangs():
    threading.Event().wait()
"""


@pytest.mark.slow
def test_a_mutant_run_executes_the_selected_tests_and_stops_at_the_first_failure(copy):
    passing = run_forked(copy, ["test_value.py"], {"test_value.py::test_passes"}, 60)
    assert (passing.code, "1 passed, 2 deselected" in passing.told) == (0, True)
    failing = run_forked(copy, ["test_value.py"], {"test_value.py"}, 60)
    assert (failing.code, "FAILED test_value.py::test_fails" in failing.told) == (1, True)


@pytest.mark.slow
def test_a_mutant_run_beyond_its_timeout_is_stopped(copy):
    assert run_forked(copy, ["test_value.py"], {"test_value.py::test_hangs"}, 0.5).code is None
