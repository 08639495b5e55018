"""`sluicegate record` writes what it read, and says what it didn't; then replay and tune take it."""

from __future__ import annotations

import json
import time

import pytest
import yaml

from benchmarks.prometheus_stand_in import PrometheusStandIn
from sluicegate.__main__ import main
from sluicegate.api.base import rfc3339
from tests.support.decisions.scenarios import product
from tests.support.prometheus.measured_world import ProductBlocks, World
from tests.support.prometheus.scripted_prometheus import hosted

URL = "http://127.0.0.1:9"


@pytest.fixture
def file(tmp_path) -> str:
    stable = {
        "version": "v1",
        "image": "registry.example/m@sha256:0",
        "runtimeImage": "",
        "revision": "",
        "source": "Spec",
        "promotionTime": rfc3339(int(time.time()) - 86_400),
    }
    path = tmp_path / "product.yaml"
    path.write_text(yaml.safe_dump({**product(), "status": {"stable": stable}}))
    return str(path)


def test_a_record_is_written_and_replayed(file, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "history.yaml")
    world = World([ProductBlocks(product="search")])
    with hosted(PrometheusStandIn(world)) as server:
        monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", server.url)
        command = ["record", "catalog/search", "--from-file", file, "--days", "0.5", "-o", out]
        assert main(command) == 0
    said = capsys.readouterr().err
    assert "144 blocks" in said
    assert "requests of people aren't in it" in said

    assert main(["replay", out]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["slos"]["availability"]["total"] == 1200


@pytest.mark.parametrize(
    ("arguments", "url", "said"),
    [
        ([], "", "SLUICEGATE_PROMETHEUS_URL: is empty"),
        (["--from-file", "FILE"], URL, "holds catalog/search, not catalog/other"),
    ],
)
def test_record_names_an_invalid_argument(file, monkeypatch, capsys, arguments, url, said):
    monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", url)
    words = [file if word == "FILE" else word for word in arguments]
    assert main(["record", "catalog/other", *words]) == 2
    assert said in capsys.readouterr().err


def test_record_writes_the_releases_of_the_products_that_it_calls(tmp_path, monkeypatch):
    now = int(time.time())
    version = {
        "image": "registry.example/m@sha256:0",
        "runtimeImage": "",
        "revision": "",
        "source": "Spec",
    }
    stable = {"version": "v1", **version, "promotionTime": rfc3339(now - 86_400)}
    shares = [
        {"weight": weight, "startTime": rfc3339(now - ago)}
        for weight, ago in ((5, 7200), (50, 3600))
    ]
    candidate = {
        "version": "v2", **version, "phase": "Stepping", "weight": 50, "shares": shares,
        "startTime": rfc3339(now - 7200),
    }  # fmt: skip
    pricing = product() | {"metadata": {"name": "pricing", "namespace": "catalog"}}
    bodies = [
        {**product(dependsOn=[{"name": "pricing"}]), "status": {"stable": stable}},
        {**pricing, "status": {"stable": stable, "candidate": candidate}},
    ]
    path, out = tmp_path / "products.yaml", tmp_path / "history.yaml"
    path.write_text(yaml.safe_dump_all(bodies))
    with hosted(PrometheusStandIn(World([ProductBlocks(product="search")]))) as server:
        monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", server.url)
        command = ["record", "catalog/search", "--from-file", str(path), "--days", "0.2"]
        assert main([*command, "-o", str(out)]) == 0
    facts = yaml.safe_load(out.read_text())["facts"]
    releases = [
        [share["weight"] for share in fact["upstreamReleases"][0]["shares"]] for fact in facts
    ]
    assert releases == [[5], [5, 50]]
    assert {fact["upstreamReleases"][0]["product"] for fact in facts} == {"catalog/pricing"}
    assert main(["replay", str(out)]) == 0


def test_record_writes_the_product_and_the_consumers_of_a_file(tmp_path, monkeypatch, capsys):
    stable = {
        "version": "v1",
        "image": "registry.example/m@sha256:0",
        "runtimeImage": "",
        "revision": "",
        "source": "Spec",
        "promotionTime": rfc3339(int(time.time()) - 86_400),
    }
    listener = [{"name": "web"}]
    route = {"hostnames": ["a.example"], "parentRefs": listener}
    names = ["ranking", "absent"]
    upstream = product(route=route, rollout={"consumers": {"names": names, "parentRefs": listener}})
    ranking = product(dependsOn=[{"name": "search", "evidence": "Required"}])
    ranking["metadata"] = {"name": "ranking", "namespace": "catalog"}
    other = product() | {"metadata": {"name": "other", "namespace": "catalog"}}
    path, out = tmp_path / "products.yaml", tmp_path / "history.yaml"
    bodies = [{**body, "status": {"stable": stable}} for body in (other, ranking, upstream)]
    path.write_text(yaml.safe_dump_all(bodies))
    world = World([ProductBlocks(product="search"), ProductBlocks(product="ranking", wrong=20)])
    with hosted(PrometheusStandIn(world)) as server:
        monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", server.url)
        command = ["record", "catalog/search", "--from-file", str(path), "--days", "0.1"]
        assert main([*command, "-o", str(out)]) == 0
    assert "Outcomes of consumers aren't in it: catalog/absent." in capsys.readouterr().err
    file = yaml.safe_load(out.read_text())
    assert [consumer["metadata"]["name"] for consumer in file["consumers"]] == ["ranking"]
    assert "status" not in file["consumers"][0]
    newest = file["blocks"][-1]["consumers"]
    assert newest["catalog/ranking"]["usual"]["accuracy"]["bad"] == 20
