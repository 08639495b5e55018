"""The technical file: every number of it is in a sealed ledger, and it claims nothing."""

from __future__ import annotations

import json

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sluicegate.__main__ import main
from sluicegate.reviews.archive_file import file_name, file_text
from tests.support.decisions.reviewed import document_of, month, sealed_month
from tests.support.samples.product_examples import changed

OCTOBER, NOVEMBER = sealed_month(10, wrong=0.08), sealed_month(11, wrong=0.12)
SIGNED = {
    "username": "acb", "role": "DataProductManager", "verdict": "Agree", "note": "as agreed",
    "signTime": "2026-12-05T09:00:00Z",
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    product = changed(
        {"metadata.name": "pricing", "metadata.namespace": "pricing", "spec.dependsOn": [],
         "spec.modelCard": {"trainingData": "sales of four weeks", "outOfScope": "lorries"},
         "spec.compliance": {"riskClass": "Minimal", "basis": "no person is judged",
                             "assessedBy": "legal", "assessmentDate": "2026-10-01"}}
    )  # fmt: skip
    items = [
        product, document_of(OCTOBER), document_of(NOVEMBER, signOffs=[SIGNED]), month(12, wrong=0.1),
    ]  # fmt: skip
    path = tmp_path / "all.yaml"
    path.write_text(yaml.dump({"kind": "List", "items": items}, Dumper=yaml.CSafeDumper))
    return path


def told(capsys, *arguments):
    assert main(["dossier", "pricing/pricing", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_each_count_of_the_dossier_is_the_sum_of_the_days_of_sealed_ledgers(files, capsys):
    file = json.loads(told(capsys, "--from", files, "-o", "json", "--at", "2026-12-31"))
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
    assert [signature["username"] for signature in file["oversight"]["signatures"]] == ["acb"]
    assert len(file["decisions"]) == 4


def test_a_dossier_of_the_folder_of_an_archive_has_the_reviews_of_its_files(tmp_path, capsys):
    for review in (OCTOBER, NOVEMBER):
        path = tmp_path / file_name(review)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file_text(review), encoding="utf-8")
    file = json.loads(told(capsys, "--from", tmp_path, "-o", "json", "--at", "2026-12-31"))
    names = {review.metadata.name for review in (OCTOBER, NOVEMBER)}
    assert {row["review"] for row in file["records"]["sealed"]} == names


def test_a_dossier_has_the_model_card_and_the_risk_of_the_spec(files, capsys):
    file = json.loads(told(capsys, "--from", files, "-o", "json", "--at", "2026-12-31"))
    assert file["modelCard"] == {"trainingData": "sales of four weeks", "outOfScope": "lorries"}
    assert file["risk"]["riskClass"] == "Minimal"
    assert {one["name"]: one["state"] for one in file["readiness"]} == {
        "ProductManager": "Met", "Runbook": "Missing", "RiskAssessed": "Exempt",
    }  # fmt: skip
    assert {one["review"] for one in file["readiness"]} == {"pricing-2026-11"}, "the newest one's"
    text = told(capsys, "--from", files, "--at", "2026-12-31")
    assert "- Training data: sales of four weeks" in text
    assert "newest sealed reviews" in text


@pytest.mark.slow
def test_a_cyclonedx_dossier_is_valid_and_has_a_metric_for_each_sum(files, capsys):
    arguments = ("--from", files, "--at", "2026-12-31")
    text = told(capsys, *arguments, "-o", "cyclonedx")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert told(capsys, *arguments, "-o", "cyclonedx") == text
    file = json.loads(told(capsys, *arguments, "-o", "json"))
    card = json.loads(text)["components"][-1]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert len(metrics) == len(file["performance"])
    for metric, row in zip(metrics, file["performance"], strict=True):
        share = (row["total"] - row["bad"]) / row["total"]
        assert float(metric["value"]) == pytest.approx(share, abs=1e-6)
        bounds = metric["confidenceInterval"]
        assert float(bounds["lowerBound"]) < share < float(bounds["upperBound"])
    assert "lorries" in card["considerations"]["technicalLimitations"]


def test_a_dossier_as_of_a_date_counts_only_ledgers_sealed_by_then(files, capsys):
    file = json.loads(told(capsys, "--from", files, "-o", "json", "--at", "2026-11-15"))
    assert {one["review"] for one in file["performance"]} == {"pricing-2026-10"}


def test_a_ledger_with_a_wrong_digest_is_named_and_excluded_from_the_dossier(files, capsys):
    documents = yaml.load(files.read_text(), yaml.CSafeLoader)
    documents["items"][1]["status"]["days"][0]["slos"][0]["bad"] += 1
    files.write_text(yaml.dump(documents, Dumper=yaml.CSafeDumper))
    file = json.loads(told(capsys, "--from", files, "-o", "json", "--at", "2026-12-31"))
    assert file["records"]["digestDoesNotHold"] == ["pricing-2026-10"]
    assert {one["review"] for one in file["performance"]} == {"pricing-2026-11"}


def test_a_dossier_of_a_deleted_product_is_available_and_claims_no_legal_compliance(files, capsys):
    documents = yaml.load(files.read_text(), yaml.CSafeLoader)
    del documents["items"][0]
    files.write_text(yaml.dump(documents, Dumper=yaml.CSafeDumper))
    text = told(capsys, "--from", files)
    assert "the product is deleted" in text
    assert "complian" not in text.lower()
    assert "no statement that a law is met" in text


def test_a_dossier_escapes_markup_in_texts_of_users(files, capsys):
    documents = yaml.load(files.read_text(), yaml.CSafeLoader)
    documents["items"][0]["spec"]["description"]["purpose"] = "<script>x</script> | [a](b)"
    files.write_text(yaml.dump(documents, Dumper=yaml.CSafeDumper))
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
def test_the_dossier_command_reports_invalid_arguments_with_the_way_out(
    files, capsys, arguments, says
):
    assert main(["dossier", *arguments, "--from", str(files)]) == 2
    assert says in capsys.readouterr().err
