"""The technical file: every number of it is in a sealed ledger, and it claims nothing."""

from __future__ import annotations

import json

import pytest
import yaml

from sluicegate.__main__ import main
from tests.support.product_examples import changed
from tests.support.reviewed import document_of, month, sealed_month

OCTOBER, NOVEMBER = sealed_month(10, wrong=0.08), sealed_month(11, wrong=0.12)
SIGNED = {
    "username": "acb", "role": "DataProductManager", "verdict": "Agree", "note": "as agreed",
    "signTime": "2026-12-05T09:00:00Z",
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    product = changed(
        {"metadata.name": "pricing", "metadata.namespace": "pricing", "spec.dependsOn": []}
    )
    items = [
        product, document_of(OCTOBER), document_of(NOVEMBER, signOffs=[SIGNED]), month(12, wrong=0.1),
    ]  # fmt: skip
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    return path


def told(capsys, *arguments):
    assert main(["dossier", "pricing/pricing", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_every_count_is_the_sum_of_the_days_of_a_sealed_ledger(files, capsys):
    file = json.loads(told(capsys, "--from", files, "--format", "json", "--at", "2026-12-31"))
    ledgers = {one.metadata.name: one for one in (OCTOBER, NOVEMBER)}
    assert len(file["performance"]) == 6
    for row in file["performance"]:
        days = [
            slo for day in ledgers[row["review"]].status.days for slo in day.slos
            if slo.name == row["slo"]
        ]  # fmt: skip
        assert (row["bad"], row["total"]) == (sum(d.bad for d in days), sum(d.total for d in days))
    assert {one["review"]: one["digest"] for one in file["records"]["sealed"]} == {
        name: one.status.digest for name, one in ledgers.items()
    }
    assert file["records"]["open"] == ["pricing-2026-12"]
    assert [one["username"] for one in file["oversight"]["signatures"]] == ["acb"]
    assert len(file["decisions"]) == 4


def test_of_a_date_only_what_was_sealed_by_then_counts(files, capsys):
    file = json.loads(told(capsys, "--from", files, "--format", "json", "--at", "2026-11-15"))
    assert {one["review"] for one in file["performance"]} == {"pricing-2026-10"}


def test_a_ledger_whose_digest_doesnt_hold_is_named_and_counts_for_nothing(files, capsys):
    documents = yaml.safe_load(files.read_text())
    documents["items"][1]["status"]["days"][0]["slos"][0]["bad"] += 1
    files.write_text(yaml.safe_dump(documents))
    file = json.loads(told(capsys, "--from", files, "--format", "json", "--at", "2026-12-31"))
    assert file["records"]["digestDoesNotHold"] == ["pricing-2026-10"]
    assert {one["review"] for one in file["performance"]} == {"pricing-2026-11"}


def test_it_survives_its_product_and_never_says_that_a_law_is_met(files, capsys):
    documents = yaml.safe_load(files.read_text())
    del documents["items"][0]
    files.write_text(yaml.safe_dump(documents))
    text = told(capsys, "--from", files)
    assert "the product is deleted" in text
    assert "complian" not in text.lower()
    assert "no statement that a law is met" in text


def test_what_people_wrote_is_no_markup(files, capsys):
    documents = yaml.safe_load(files.read_text())
    documents["items"][0]["spec"]["description"]["purpose"] = "<script>x</script> | [a](b)"
    files.write_text(yaml.safe_dump(documents))
    text = told(capsys, "--from", files)
    assert "\\<script\\>" in text
    assert "\\| \\[a\\]" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pricing"], "write NAMESPACE/NAME"),
        (["pricing/gone"], "neither a DataProduct pricing/gone nor a review"),
        (["pricing/pricing", "--at", "December"], "write a date as 2026-12-31"),
    ],
)
def test_a_question_that_is_wrong_is_answered_with_what_to_write(files, capsys, arguments, says):
    assert main(["dossier", *arguments, "--from", str(files)]) == 2
    assert says in capsys.readouterr().err
