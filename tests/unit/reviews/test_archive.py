"""Sealed reviews in a folder or a bucket: each once, again after a signature, and before any is dropped."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager

import pytest
from aiohttp import web

from sluicegate.__main__ import main
from sluicegate.api import names
from sluicegate.cli.reviews.archive import place_of
from sluicegate.errors import InvalidInput
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS
from sluicegate.reviews.archive import Archive, Bucket, Folder
from sluicegate.reviews.archive_file import NotArchived, file_name, is_archived
from sluicegate.reviews.store import ReviewStore, parse_review
from tests.support.decisions.ledger_world import world
from tests.support.decisions.recorded_days import DAY
from tests.support.decisions.reviewed import document_of, sealed_month

OCTOBER, NOVEMBER = sealed_month(10, wrong=0.08), sealed_month(11, wrong=0.12)
SIGNED = {
    "username": "acb", "role": "DataProductManager", "verdict": "Agree", "note": "as agreed",
    "signTime": "2026-12-05T09:00:00Z",
}  # fmt: skip


def keep(server, review, label="sealed", **spec):
    """Let the API server have a review."""
    body = document_of(review, **spec)
    meta = {"name": review.metadata.name, "namespace": review.metadata.namespace,
            "labels": {names.LABEL_REVIEW: label}}  # fmt: skip
    return server.keep(DATA_PRODUCT_REVIEWS, {**body, "metadata": meta})


def stored(server, review):
    meta = review.metadata
    return server.objects[DATA_PRODUCT_REVIEWS.path(meta.namespace, meta.name)]


@pytest.mark.parametrize(
    "name", ["../catalog/pricing", "../../../outside", "..", "a/b", "/etc", ""]
)
def test_a_review_with_a_path_as_product_name_is_not_archived(name):
    document = document_of(NOVEMBER)
    document["metadata"] = {"name": "pricing-2026-11", "namespace": "mallory"}
    document["spec"]["productRef"]["name"] = name
    assert parse_review(document) is None
    ref = NOVEMBER.spec.product_ref.model_copy(update={"name": name})
    spec = NOVEMBER.spec.model_copy(update={"product_ref": ref})
    with pytest.raises(NotArchived, match="no name of an object"):
        file_name(NOVEMBER.model_copy(update={"spec": spec}))


def test_the_archive_writes_no_file_outside_its_folder(tmp_path):
    folder = Folder(tmp_path / "archive")
    for name in ("../outside.json", "/tmp/outside.json"):
        with pytest.raises(NotArchived, match="is outside of"):
            folder.write(name, "")
        with pytest.raises(NotArchived, match="is outside of"):
            folder.read(name)
    assert not [*tmp_path.rglob("*.json")]


async def test_each_sealed_review_is_copied_once_and_again_when_it_is_signed(
    server, tmp_path, capsys
):
    said = []
    archive = Archive(ReviewStore(server.api), Folder(tmp_path), said.append)
    keep(server, OCTOBER, "closed", signOffs=[SIGNED])
    keep(server, NOVEMBER)
    assert (await archive.copy()).written == 2
    before = len(server.writes)
    again = await archive.copy()
    assert (again.written, again.there, len(server.writes)) == (0, 2, before)
    path = tmp_path / file_name(NOVEMBER)
    assert path == tmp_path / "pricing/pricing/pricing-2026-11.u-1.json"
    assert json.loads(path.read_text())["spec"].get("signOffs", []) == []
    signed = stored(server, NOVEMBER)
    spec = {**signed["spec"], "signOffs": [SIGNED]}
    server.keep(DATA_PRODUCT_REVIEWS, {**signed, "spec": spec})
    assert (await archive.copy()).written == 1
    assert json.loads(path.read_text())["spec"]["signOffs"] == [SIGNED]
    assert is_archived(parse_review(stored(server, NOVEMBER)))
    assert said == []
    assert main(["report", "pricing/pricing", "--from", *map(str, tmp_path.rglob("*.json"))]) == 0
    assert "as agreed" in capsys.readouterr().out, "the archive's files make a report"
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


@pytest.mark.slow
async def test_a_modified_ledger_is_refused_by_name_without_stopping_the_archive(server, tmp_path):
    said = []
    archive = Archive(ReviewStore(server.api), Folder(tmp_path), said.append)
    forged = keep(server, OCTOBER)
    forged["status"]["days"][0]["slos"][0]["bad"] += 1
    keep(server, NOVEMBER)
    done = await archive.copy()
    assert (done.written, done.refused) == (1, 1)
    assert "pricing/pricing-2026-10: its ledger isn't the sealed one" in said[0]
    assert names.ANNOTATION_ARCHIVED not in stored(server, OCTOBER)["metadata"].get(
        "annotations", {}
    )


async def test_a_file_with_another_ledger_is_never_overwritten(server, tmp_path):
    said = []
    path = tmp_path / file_name(NOVEMBER)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    keep(server, NOVEMBER)
    await Archive(ReviewStore(server.api), Folder(tmp_path), said.append).copy()
    assert path.read_text() == "{}"
    assert "is there with another ledger" in said[0]
    assert "another --to" in said[0]


@contextmanager
def bucket(monkeypatch):
    """An S3 of two verbs, in a thread of its own: what it was given, by path."""
    objects: dict[str, bytes] = {}
    loop = asyncio.new_event_loop()

    async def answer(request):
        assert "AWS4-HMAC-SHA256" in request.headers["Authorization"]
        if request.method == "PUT":
            objects[request.path] = await request.read()
            return web.Response(headers={"ETag": '"1"'})
        if request.path not in objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        headers = {"ETag": '"1"', "Last-Modified": "Tue, 01 Dec 2026 09:00:00 GMT"}
        return web.Response(body=objects[request.path], headers=headers)

    async def serve():
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    host, port = runner.addresses[0][:2]
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-3",
        "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        yield objects
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_a_bucket_archives_reviews_like_a_folder(server, monkeypatch):
    said = []
    with bucket(monkeypatch) as objects:
        archive = Archive(ReviewStore(server.api), place_of("s3://reviews/sluicegate"), said.append)
        keep(server, NOVEMBER)
        assert (await archive.copy()).written == 1, said
        (path,) = objects
        assert path == "/reviews/sluicegate/pricing/pricing/pricing-2026-11.u-1.json"
        assert parse_review(json.loads(objects[path])).status.digest == NOVEMBER.status.digest
        objects[path] = b"{}"
        keep(server, NOVEMBER)
        assert (await archive.copy()).refused == 1
        assert objects[path] == b"{}"


async def test_an_unreachable_bucket_is_reported_and_no_review_is_marked_as_archived(
    server, monkeypatch
):
    said = []
    with bucket(monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        keep(server, NOVEMBER)
        place = Bucket("s3://reviews/sluicegate", retries=0)
        done = await Archive(ReviewStore(server.api), place, said.append).copy()
        assert (done.refused, server.writes) == (1, [])
    assert "pricing-2026-11.u-1.json isn't archived in s3://reviews/sluicegate: " in said[0]
    assert len(said[0]) < 500


@pytest.mark.slow
async def test_reviews_beyond_the_retention_are_deleted_only_after_their_archive(tmp_path):
    async with world(archived=True) as it:
        await it.pass_time(24 * DAY, step=12 * 3600, every="Week", keep=2)
        kept = sorted(it.all())
        assert kept == [f"pricing-2026-w{week}" for week in (38, 39, 40, 41)]
        assert "1 sealed reviews are older than the 2" in it.wrong[0]
        archive = Archive(ReviewStore(it.server.api), Folder(tmp_path), it.wrong.append)
        await it.pass_time(2 * DAY, step=12 * 3600, every="Week", keep=2)
        await archive.copy()
        await it.pass_time(5 * DAY, step=12 * 3600, every="Week", keep=2)
        assert sorted(it.all()) == [f"pricing-2026-w{week}" for week in (40, 41, 42)]
        assert {path.name[:16] for path in tmp_path.rglob("*.json")} >= set(kept[:2])


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("/no/such/folder", "is no folder that can be written to: make it"),
        ("ftp://host/reviews", "write a folder, or a bucket by s3://, gs://, az:// and its name"),
        ("s3://", "and its name"),
    ],
)
def test_an_invalid_archive_location_is_reported_with_valid_examples(to, says):
    with pytest.raises(InvalidInput, match=says):
        place_of(to)
