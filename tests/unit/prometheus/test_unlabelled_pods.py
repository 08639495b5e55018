"""Whose a row is: the version's with its revision; without one, of the only version so named."""

from __future__ import annotations

from sluicegate.prometheus.result_table import TableReader
from sluicegate.prometheus.targets import ProductKey, Target, identity
from sluicegate.prometheus.unlabelled_pods import assign_unlabelled
from sluicegate.slo.queries import QueryKind

KEY = ProductKey("catalog", "search")


def table(kind: QueryKind, *rows: dict[str, str]):
    reader = TableReader(kind, step=60)
    for labels in rows:
        reader.take(
            {"metric": {"namespace": KEY[0], "product": KEY[1], **labels}, "values": [(60, "1")]}
        )
    return reader.result()


def of(version: str, revision: str = "") -> dict[str, str]:
    return {"version": version, "revision": revision, "runner_name": "S"}


def counted(rows, *versions: str) -> dict[str, dict[int, float]]:
    target = Target(key=KEY, versions=versions, slos={})
    found = assign_unlabelled({QueryKind.REQUESTS: rows}, [target])[QueryKind.REQUESTS]
    return {key[2]: values for key, values in found.items()}


def test_two_revisions_of_one_version_are_counted_separately():
    rows = table(QueryKind.REQUESTS, of("v1", "a"), of("v1", "b"))
    assert counted(rows, "v1/a", "v1/b") == {"v1/a": {1: 1.0}, "v1/b": {1: 1.0}}


def test_a_row_without_a_revision_counts_for_the_only_version_of_its_name():
    rows = table(QueryKind.REQUESTS, of("v1"), of("v2", "b"))
    assert counted(rows, "v1/a", "v2/b") == {"v1/a": {1: 1.0}, "v2/b": {1: 1.0}}


def test_a_row_that_matches_two_versions_counts_for_none():
    rows = table(QueryKind.REQUESTS, of("v1"))
    assert not counted(rows, "v1/a", "v1/b").keys() & {"v1/a", "v1/b"}


def test_a_row_without_a_revision_is_not_added_to_one_with_a_revision():
    rows = table(QueryKind.REQUESTS, of("v1"), of("v1", "a"))
    assert counted(rows, "v1/a") == {"v1/a": {1: 1.0}}


def test_a_version_identity_includes_its_revision_if_known():
    assert (identity("v1", "a"), identity("v1")) == ("v1/a", "v1")
