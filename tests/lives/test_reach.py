"""The table of what lives reach: its rows, and the list of those that a run need not reach."""

from __future__ import annotations

import random

import pytest
import yaml

from benchmarks.virtual import structural
from sluicegate.api.operator_checks import check_context
from sluicegate.api.product import DataProduct
from tests.support.decisions.rollout_world import RUNTIME, document
from tests.support.lives.anything import draw_any
from tests.support.lives.edits import DETAILS, SETTINGS, draw_edit, invalid_edit, with_details
from tests.support.lives.products import draw_product
from tests.support.lives.reach import (
    FEWEST_LIVES,
    UNREACHED,
    Listed,
    Table,
    all_rows,
    edited,
    groups,
    phases_of,
    read_listed,
    request_of,
    spec_rows,
    status_rows,
)

ROW = ("spec.rollout.approval", "Manual")
OTHERS = {row: "not drawn here" for row in all_rows() if row != ROW}


def _table(*rows, lives=1):
    table = Table()
    for _ in range(lives):
        table.add(all_rows().index(row) for row in rows)
    return table


def test_each_listed_row_exists_and_has_a_reason():
    listed = read_listed()
    assert {*listed.never, *listed.rare} <= set(all_rows())
    assert all({**listed.never, **listed.rare}.values())
    assert not listed.never.keys() & listed.rare.keys()


def test_no_entry_lists_a_row_twice_as_the_last_one_would_hide_the_others():
    document = yaml.compose(UNREACHED.read_text(encoding="utf-8"))
    entries = [entry for _, section in document.value for entry in section.value]
    for entry in entries:
        (rows,) = (value for key, value in entry.value if key.value == "rows")
        names = [key.value for key, _ in rows.value]
        assert len(names) == len(set(names))


def test_a_row_that_no_life_reaches_has_to_be_listed():
    (problem,) = _table().problems(Listed(never=OTHERS, rare={}))
    assert problem.startswith('{"spec.rollout.approval": ["Manual"]}: no life reaches it')


def test_a_row_that_a_life_reaches_has_to_leave_the_list():
    (problem,) = _table(ROW).problems(Listed(never=OTHERS | {ROW: "never"}, rare={}))
    assert "1 lives reach it; remove it from never" in problem


def test_only_a_long_run_has_to_reach_a_rare_row():
    listed = Listed(never=OTHERS, rare={ROW: "three lives of a thousand"})
    assert not _table(lives=FEWEST_LIVES - 1).problems(listed)
    assert not _table(ROW, lives=FEWEST_LIVES).problems(listed)
    assert len(_table(lives=FEWEST_LIVES).problems(listed)) == 1


def test_a_listed_row_that_no_longer_exists_is_a_problem():
    gone = ("spec.rollout.gone", "given")
    problems = _table(ROW).problems(Listed(never={**OTHERS, gone: "gone"}, rare={}))
    assert problems == ['{"spec.rollout.gone": ["given"]}: there is no such row; remove it from unreached.yaml']  # fmt: skip


def test_the_table_counts_the_lives_that_reached_a_row():
    text = str(_table(ROW, lives=3))
    assert "spec.rollout.approval: Automatic 0, Manual 3" in text
    assert f"1 of {len(all_rows())} rows are reached by 3 lives" in text


def test_values_are_classed_as_absent_default_bound_or_other():
    spec = document()["spec"]
    spec["rollout"] = {"historyLimit": 20, "maxDurationSeconds": 11, "approval": "Manual"}
    spec["analysis"] = {"blockSeconds": 300}
    rows = set(spec_rows(spec))
    assert {
        ("spec.rollout.historyLimit", "max"), ("spec.rollout.maxDurationSeconds", "other"),
        ("spec.rollout.steps", "absent"), ("spec.analysis.blockSeconds", "default"), ROW,
        ("spec.slos", "one"), ("spec.slos[].indicator.outcomes", "given"),
        ("spec.slos[].indicator.gauge", "absent"), ("spec.serving.runtimeImage", "given"),
    } <= rows  # fmt: skip
    assert spec["serving"]["runtimeImage"] == RUNTIME


def test_each_enum_value_of_status_is_a_row_of_the_reach_table():
    rows = set(
        status_rows(
            {
                "candidate": {"phase": "Parked"},
                "decision": {"type": "Hold", "reason": "Dwelling"},
                "conditions": [{"type": "Stalled", "status": "True", "reason": "ModelRejected"}],
            }
        )
    )
    assert {
        ("status.candidate.phase", "Parked"), ("decision type", "Hold"),
        ("decision reason", "Dwelling"), ("condition type", "Stalled"),
        ("condition reason", "ModelRejected"), ("status.conditions[].status", "True"),
    } <= rows  # fmt: skip


def test_a_training_beside_a_candidate_phase_is_a_row_of_the_reach_table():
    assert phases_of({}) == ("NoCandidate",)
    status = {"candidate": {"phase": "Stepping"}, "retraining": {"job": "search-train-1"}}
    assert phases_of(status) == ("Stepping", "Training")


def test_an_edit_row_names_the_changed_spec_groups():
    before = {"rollout": {"steps": [5]}, "slos": [], "serving": {"replicas": 1}}
    after = {"rollout": {"steps": [9]}, "slos": [], "serving": {"replicas": 2}}
    assert edited(before, after) == ["serving", "rollout.steps"]


@pytest.mark.parametrize(
    ("value", "row"),
    [
        ("token", "request abort"),
        ("v2/token", "request abort of version candidate"),
        ("v1/token", "request abort of version stable"),
        ("v0/token", "request abort of version past"),
        ("v9/token", "request abort of version unknown"),
    ],
)
def test_a_drawn_request_names_a_version_by_its_position(value, row):
    status = {
        "candidate": {"version": "v2"},
        "stable": {"version": "v1"},
        "history": [{"version": "v0"}],
    }
    assert request_of("sluicegate.dev/abort", value, status) == row


@pytest.mark.parametrize("group", groups())
def test_a_drawn_edit_is_valid_for_the_operator(group):
    drawn = 0
    for seed in range(12):
        dice = random.Random(seed)
        spec = with_details(draw_product(dice, 1), dice)["spec"]
        patch = draw_edit(group, spec, seed)
        drawn += bool(patch)
        parsed = DataProduct.parse({"metadata": {"name": "any"}, "spec": spec})
        assert not check_context(parsed.spec, SETTINGS)
    assert drawn


@pytest.mark.parametrize(
    ("seed", "path"),
    [(0, "spec.analysis.blockSeconds"), (1, "spec.analysis.blockSeconds"), (2, "spec.slos[")],
)
def test_an_invalid_drawn_edit_is_admitted_and_refused_by_the_operator(seed, path):
    spec = draw_product(random.Random(3), 0)["spec"]
    assert spec["slos"]
    merged = spec | invalid_edit(spec, seed)
    parsed = DataProduct.parse({"metadata": {"name": "any"}, "spec": merged})
    problems = check_context(parsed.spec, SETTINGS)
    assert problems
    assert all(problem.path.startswith(path) for problem in problems)


@pytest.mark.parametrize("group", sorted({*DETAILS} - {"serving", "route"}))
def test_any_value_that_is_drawn_fits_the_schema(group):
    schema = structural.product_schema()["properties"]["spec"]
    for name in group.split("."):
        schema = schema["properties"][name]
    dice = random.Random(group)
    for likely in (0.1, 0.5, 0.9) * 5:
        value = draw_any(dice, schema, likely)
        of_cel = {**schema, "x-kubernetes-validations": []}
        assert not list(structural.objections(value, of_cel)), value
