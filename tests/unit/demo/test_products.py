"""The products as they are applied: valid, of this cluster's images, else as their teams wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.addons import Addresses
from demo.bentos import Bento, content_key
from demo.products import SLOS, Model, fitted
from demo.samples import SAMPLES
from demo.setup import Images, chart_values
from sluicegate.api.product import DataProduct

DIGEST = f"sha256:{'a' * 64}"
WHERE = Addresses("127.0.0.1:5", "http://127.0.0.1:8", "http://127.0.0.1:9")
REPOSITORY = f"{WHERE.registry_in_pods}/bentos/sample"
BENTO = Bento(Path("/nowhere"), "v1", {"accuracy": {"bad": 80, "total": 1000}})
MODEL = Model(f"{REPOSITORY}@{DIGEST}", BENTO, f"sluicegate.local/runtime@{DIGEST}")
OURS = {"model", "serving", "analysis", "slos", "retraining", "rollout", "review"}


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.name)
def sample(request):
    return request.param


def test_a_demo_product_is_valid_and_uses_images_of_the_cluster(sample):
    product = DataProduct.parse(fitted(sample.file(), MODEL, repository=REPOSITORY))
    assert product.spec.model.bento.image == MODEL.image
    assert product.spec.serving.runtime_image == MODEL.runtime
    assert product.spec.retraining.output == REPOSITORY
    assert product.metadata.namespace == sample.namespace


def test_a_sample_has_a_team_markets_and_a_review_that_the_team_can_sign(sample):
    spec = DataProduct.parse(fitted(sample.file(), MODEL, repository=REPOSITORY)).spec
    assert set(spec.review.signed_by) <= {member.role for member in spec.team.members}
    assert len(spec.markets) > 1
    assert spec.serving.market is not None


def test_adapting_a_sample_keeps_the_fields_of_its_team(sample):
    written, applied = sample.file(), fitted(sample.file(), MODEL, repository=REPOSITORY)
    assert {**applied["spec"], **dict.fromkeys(OURS, 0)} == {
        **written["spec"],
        **dict.fromkeys(OURS, 0),
    }
    for before, after in zip(written["spec"]["slos"], applied["spec"]["slos"], strict=True):
        ours = SLOS.get(after["name"], {})
        assert after == before | ours


def test_each_slo_that_the_demo_changes_exists(sample):
    assert set(SLOS) <= {slo["name"] for slo in sample.file()["spec"]["slos"]}


def test_adapting_a_sample_does_not_change_its_file(sample):
    document = sample.file()
    fitted(document, MODEL, repository=REPOSITORY)
    assert document == sample.file()


def test_a_bento_is_trained_again_when_a_file_or_the_market_changes(tmp_path):
    (tmp_path / "train.py").write_text("1")
    first = content_key([tmp_path], "v1", "{}")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "train.pyc").write_text("1")
    assert content_key([tmp_path], "v1", "{}") == first
    assert content_key([tmp_path], "v1", "{shock}") != first
    (tmp_path / "train.py").write_text("2")
    assert content_key([tmp_path], "v1", "{}") != first


def test_the_chart_gets_the_image_by_digest_and_the_scrape_interval_of_this_cluster():
    image = f"sluicegate.local/operator@{DIGEST}"
    values = chart_values(Images(image, image), WHERE)
    assert values["image"]["repository"] == "sluicegate.local/operator"
    assert values["image"]["digest"] == DIGEST
    assert values["settings"]["scrapeIntervalSeconds"] == 1
    assert values["settings"]["plainHttpRegistries"] == "registry.registry.svc:5000"
