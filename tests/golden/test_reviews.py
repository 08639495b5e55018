"""What an auditor and a meeting read, whole: the technical file of a product, and its report."""

from __future__ import annotations

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.reviews.seal import sealed_review
from sluicegate.reviews.store import parse_review
from tests.support.decisions.reviewed import document_of, month
from tests.support.samples.product_examples import changed

V13 = {"version": "v13", "source": "Spec", "promotionTime": "2026-09-02T08:00:00Z",
       "endTime": "2026-10-11T00:00:00Z", "outcome": "Replaced"}  # fmt: skip
V15 = {"version": "v15", "source": "Retraining", "cause": "ModelDecay",
       "promotionTime": "2026-11-20T06:00:00Z", "endTime": "2026-11-21T07:30:00Z",
       "outcome": "RolledBack", "reason": "ObjectiveMissed"}  # fmt: skip
BACK = {"decisionTime": "2026-11-21T07:30:00Z", "type": "Rollback", "reason": "ObjectiveMissed",
        "message": "accuracy of v15 is at 71.0 % (n=412) against 88.0 %", "version": "v14"}  # fmt: skip


def signature(verdict, note, at):
    return {"username": "oidc:acb", "role": "DataProductManager", "verdict": verdict, "note": note,
            "signTime": at}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a product with three versions, one of which was rolled back, and two reviews that are signed."""
    october, november = month(10, wrong=0.08), month(11, wrong=0.12, austria=0.4)
    october["status"]["versions"].insert(0, V13)
    again = {"version": "v14", "source": "Retraining", "promotionTime": BACK["decisionTime"]}
    november["status"]["versions"][0] |= {"endTime": V15["promotionTime"], "outcome": "Replaced"}
    november["status"]["versions"] += [V15, again]
    november["status"]["decisions"].append(BACK)
    said = [
        {"signOffs": [signature("Agree", "", "2026-11-05T09:00:00Z")],
         "actions": [{"title": "Check the labels of Austria", "owner": "data science",
                      "dueDate": "2026-11-20"}]},
        {"signOffs": [signature("Object", "Austria is bad for a month", "2026-12-05T09:00:00Z")],
         "decisions": ["Retrain Austria with the new labels"], "notes": "the dip is the label job's"},
    ]  # fmt: skip
    items = [
        changed(
            {"metadata.name": "pricing", "metadata.namespace": "pricing", "spec.dependsOn": [],
             "spec.review": {"every": "Month", "startDate": "2026-09-01"},
             "spec.team": {"members": [{"username": "oidc:acb", "role": "DataProductManager"}]},
             "spec.compliance": {"riskClass": "Minimal", "basis": "no person is judged",
                                 "assessedBy": "legal", "assessmentDate": "2026-10-01"}}
        )
    ]  # fmt: skip
    for document, more in zip((october, november), said, strict=True):
        review = parse_review(document)
        at = review.spec.period.end + 3 * 86_400
        status = sealed_review(review, at, seal_reason="PeriodOver")
        items.append(document_of(review.model_copy(update={"status": status}), **more))
    path = tmp_path_factory.mktemp("reviews") / "all.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    only = path.with_name("reviews.yaml")
    only.write_text(yaml.safe_dump({"kind": "List", "items": items[1:]}))
    return path, only


def test_the_technical_file_equals_its_golden(files, golden, capsys):
    assert main(["dossier", "pricing/pricing", "--at", "2026-12-31", "--from", str(files[0])]) == 0
    golden("reviews/dossier.md", capsys.readouterr().out)


def test_the_review_report_equals_its_golden(files, golden, capsys):
    assert main(["report", "pricing/pricing", "--from", str(files[1])]) == 0
    golden("reviews/report.md", capsys.readouterr().out)
