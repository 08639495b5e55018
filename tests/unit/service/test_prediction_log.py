"""The log of predictions: what its rows have, that it is bounded, and that no request waits for it."""

from __future__ import annotations

import asyncio
import json
import resource
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from sluicegate_service.answers import Answer, Noted, current_answer
from sluicegate_service.feedback import Feedback, Label, Score, Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.log_rows import Labelled, Served
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import LARGEST_FILE, FolderStore, LogStoreError, store_of
from sluicegate_service.logged_requests import LoggedRequests
from sluicegate_service.mirroring import Received, current_request
from sluicegate_service.outcomes import Outcome, OutcomeCounters
from sluicegate_service.prediction_log import LARGEST_ROW, LogCounters, PredictionLog
from sluicegate_service.tokens import CallerId
from sluicegate_service.warehouse import WRITE_DELAY, Warehouse, WarehouseError, main
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
BEARER = "Bearer secret-of-the-label-job"


def settings(**given: Any) -> LogSettings:
    return LogSettings("shop", "pricing", **{"percent": 100, "target": {}, **given})


def served(body: Any, *predictions: Noted, **given: Any) -> Served:
    values: dict[str, Any] = {
        "seconds": START, "path": "/price", "body": json.dumps(body).encode(), "answer": b"",
        "predictions": predictions, "batch": False, "market": "", "version": "v1",
        "revision": "0123",
    }  # fmt: skip
    return Served(**values | given)


def rows_of(row: Served | Labelled, **given: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in row.lines(settings(**given))]


# ---- rows ----------------------------------------------------------------------------------
def test_a_log_row_has_the_request_the_prediction_and_its_version():
    (row,) = rows_of(served({"km": 9}, Noted(7, caller_id=CallerId("o-1"), market="FR")))
    assert row == {
        "kind": "prediction", "id": CallerId("o-1").identity[:16].hex(),
        "time": "2026-11-30T12:00:00.000+00:00", "path": "/price", "version": "v1",
        "revision": "0123", "market": "FR", "features": {"km": 9}, "prediction": 7,
    }  # fmt: skip


def test_without_a_signed_prediction_the_log_row_has_the_whole_response():
    (row,) = rows_of(served({"km": 9}, answer=b'{"price": 7}', market="GB"))
    assert (row["prediction"], row["market"]) == ({"price": 7}, "GB")


@pytest.mark.parametrize(
    ("body", "features"),
    [
        ({"cars": [{"km": 1}, {"km": 2}], "day": 3},
         [{"cars": {"km": 1}, "day": 3}, {"cars": {"km": 2}, "day": 3}]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ({"rows": [1, 2, 3]}, [{"rows": [1, 2, 3]}] * 2),
    ],
    ids=["a field", "the whole", "another number"],
)  # fmt: skip
def test_each_prediction_of_a_list_has_the_features_of_its_item(body, features):
    rows = rows_of(served(body, Noted(1), Noted(2), batch=True))
    assert [row["features"] for row in rows] == features
    assert len({row["id"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("given", "features"),
    [
        ({"redact": ("owner.mail",)}, {"owner": {"key": "c-1"}, "cars": [{"km": 1, "vin": "x"}]}),
        ({"redact": ("owner", "cars.vin")}, {"cars": [{"km": 1}]}),
        ({"only": ("cars.0.km",)}, {"cars.0.km": 1}),
        ({"only": ("owner", "cars"), "redact": ("owner.mail", "cars.0.vin")},
         {"owner": {"key": "c-1"}, "cars": [{"km": 1}]}),
        ({"only": ("owner.mail", "absent"), "redact": ("owner",)}, {}),
        ({"only": ("cars.0",), "redact": ("cars.vin",)}, {"cars.0": {"km": 1}}),
        ({"only": ("cars.0.vin",), "redact": ("cars.vin",)}, {}),
    ],
)  # fmt: skip
def test_redacted_and_unselected_features_are_never_logged(given, features):
    body = {"owner": {"key": "c-1", "mail": "a@b.example"}, "cars": [{"km": 1, "vin": "x"}]}
    (row,) = rows_of(served(body, Noted(1)), **given)
    assert row["features"] == features


@pytest.mark.parametrize(
    ("path", "prediction", "logged"),
    [
        ("owner", {"price": 7, "owner": "a@b.example"}, {"price": 7}),
        ("owner.mail", {"owner": {"mail": "a@b.example"}}, {"owner": {}}),
        ("owner", [{"owner": "a@b.example"}], [{}]),
        ("owner", 7, 7),
    ],
)
def test_a_redacted_field_repeated_in_the_response_is_not_logged(path, prediction, logged):
    body = json.dumps(prediction).encode()
    for row in (served({}, answer=body), served({}, Noted(prediction))):
        assert rows_of(row, redact=(path,))[0]["prediction"] == logged


@pytest.mark.parametrize(
    ("path", "features", "logged"),
    [
        ("owner.mail", {"owner.mail": "x", "km": 1}, {"km": 1}),
        ("a.b.c", {"a": {"b.c": "x"}, "a.b": {"c": "x", "d": 1}}, {"a": {}, "a.b": {"d": 1}}),
        ("row.0", {"row": ["x", 1]}, {"row": [None, 1]}),
        ("1", [["k", "x"], ["k", "y"]], [["k", None], None]),
        ("cars.0.vin", {"cars": [{"vin": "x"}, {"vin": "y"}]}, {"cars": [{}, {}]}),
    ],
    ids=["a name with a dot", "names with dots", "a position", "lists of lists", "all items"],
)
def test_a_redaction_path_applies_to_every_matching_field(path, features, logged):
    (row,) = rows_of(served(features, Noted(1)), redact=(path,))
    assert row["features"] == logged


def test_a_log_row_has_a_pseudonym_in_place_of_a_redacted_person_key():
    given = {"person": "owner", "redact": ("owner",)}
    one, same, other = (
        rows_of(served({"owner": owner}, Noted(1)), **given)[0] for owner in ("c-1", "c-1", "c-2")
    )
    assert one["features"] == {}
    assert "c-1" not in json.dumps(one)
    assert one["person"] == same["person"] != other["person"]


@pytest.mark.parametrize("body", [b"no JSON", b"", b"\xff\x00"])
def test_a_request_without_json_has_no_logged_features(body):
    (row,) = rows_of(replace(served(None, Noted(1)), body=body))
    assert row["features"] is None


# ---- the writer ----------------------------------------------------------------------------
class Away(FolderStore):
    """A folder that can't be written until it is back."""

    back = False

    def add(self, date: str, name: str, lines: bytes) -> None:
        if not self.back:
            raise LogStoreError("the store is away")
        FolderStore.add(self, date, name, lines)


class Log:
    """A log in a folder, with its counts."""

    def __init__(self, folder: Path, *, store: FolderStore | None = None, **given: Any) -> None:
        self.dropped: Counter[str] = Counter()
        self.written = 0
        self.held: list[int] = []
        self.failures: list[int] = []
        self.now = START
        self.store = store or FolderStore(folder, flush_seconds=0.01)
        own = {name: given.pop(name) for name in ("queue_bytes", "draw") if name in given}
        self.log = PredictionLog(
            settings(**given),
            self.store,
            LogCounters(
                self._write,
                lambda reason, count: self.dropped.update({reason: count}),
                self.held.append,
                lambda: self.failures.append(1),
            ),
            clock=lambda: self.now,
            retry_seconds=0.01,
            **own,
        )

    def _write(self, count: int) -> None:
        self.written += count

    def lines(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for date in self.store.dates()
            for name in self.store.names(date)
            for line in self.store.read(date, name).splitlines()
        ]


def test_log_rows_are_written_in_order_and_flushed_at_shutdown(tmp_path):
    log = Log(tmp_path)
    log.log.start()
    for number in range(500):
        log.log.put(served({}, Noted(number)))
    log.log.close()
    assert [row["prediction"] for row in log.lines()] == list(range(500))
    assert (log.written, log.dropped) == (500, Counter())


def test_an_unavailable_store_delays_no_request_and_gets_its_rows_later(tmp_path):
    store = Away(tmp_path, flush_seconds=0.01)
    log = Log(tmp_path, store=store)
    log.log.start()
    for number in range(50):
        log.log.put(served({}, Noted(number)))
    assert log.lines() == []
    store.back = True
    eventually(lambda: log.written == 50, seconds=30, what="the rows of the queue")
    log.log.close()
    assert [row["prediction"] for row in log.lines()] == list(range(50))


def test_an_unavailable_log_store_is_logged_once_at_its_begin_and_once_at_its_end(tmp_path, caplog):
    store = Away(tmp_path, flush_seconds=0.01)
    log = Log(tmp_path, store=store)
    log.log.start()
    log.log.put(served([{}, {}], Noted(1), Noted(2), batch=True))
    eventually(lambda: len(log.failures) > 2, seconds=30, what="repeated writes")
    log.log.put(Labelled(START, b"x" * 32, 1))
    eventually(lambda: log.held[-1] == 3, seconds=30, what="the rows in memory")
    assert [record.message for record in caplog.records] == [
        "the store is away; rows are kept in memory, and written later"
    ]
    store.back = True
    log.log.close()
    assert (log.held[-1], log.written) == (0, 3)
    end = caplog.records[-1].message
    assert len(caplog.records) == 2
    assert end.startswith("the log of predictions is written again, after")


def test_the_memory_of_the_prediction_log_is_bounded_and_dropped_rows_are_counted(tmp_path):
    store = Away(tmp_path, flush_seconds=0.01)
    log = Log(tmp_path, store=store, queue_bytes=10 * served({}, Noted(1)).size)
    log.log.start()
    for number in range(50):
        log.log.put(served({}, Noted(number)))
    assert log.dropped == {"QueueFull": 40}
    store.back = True
    log.log.close()
    assert [row["prediction"] for row in log.lines()] == list(range(10))


def test_an_unavailable_store_delays_the_shutdown_for_a_limited_time(tmp_path):
    log = Log(tmp_path, store=Away(tmp_path, flush_seconds=0.01))
    log.log.start()
    log.log.put(served({}, Noted(1)))
    log.log.close(0.2)
    assert log.dropped == {"Closed": 1}


def test_a_request_that_is_too_large_is_not_logged(tmp_path):
    log = Log(tmp_path)
    log.log.put(served("x" * LARGEST_ROW, Noted(1)))
    assert log.dropped == {"TooLarge": 1}


def test_log_days_beyond_the_retention_are_deleted(tmp_path):
    log = Log(tmp_path, retention_days=30)
    for date in ("2026-10-30", "2026-10-31", "2026-11-30"):
        log.store.add(date, "00-pod", b"{}\n")
    log.log._remove_old()
    assert log.store.dates() == ["2026-10-31", "2026-11-30"]


@pytest.mark.parametrize(("percent", "draw", "sampled"), [(10, 0.09, True), (10, 0.1, False)])
def test_a_share_of_the_requests_is_logged(tmp_path, percent, draw, sampled):
    assert Log(tmp_path, percent=percent, draw=lambda: draw).log.samples() is sampled


def test_the_log_sampling_of_an_id_is_the_same_in_every_pod(tmp_path):
    pods = [Log(tmp_path, percent=10, draw=lambda value=value: value).log for value in (0.0, 0.99)]
    ids = [f"order-{number}" for number in range(5000)]
    one, other = ({each for each in ids if pod.samples(each)} for pod in pods)
    assert one == other
    assert 400 < len(one) < 600


# ---- files ---------------------------------------------------------------------------------
def test_a_full_log_file_is_rotated(tmp_path):
    store = FolderStore(tmp_path)
    for _ in range(3):
        store.add("2026-11-30", "12-pod", b"x" * (LARGEST_FILE // 2))
    assert store.names("2026-11-30") == ["12-pod-0.jsonl", "12-pod-1.jsonl"]


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Yield no file may grow beyond a size: a write is cut off there, and the next one fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("length", [40, 20_000], ids=["a row", "a batch"])
def test_rows_of_a_full_volume_are_written_once_after_space_is_freed(tmp_path, length):
    store = FolderStore(tmp_path)
    store.add("2026-11-30", "12-pod", b"first\n")
    batch = b"x" * length + b"\n"
    with full_at(6 + length // 2):
        for _ in range(3):
            with pytest.raises(LogStoreError):
                store.add("2026-11-30", "12-pod", batch)
    store.add("2026-11-30", "12-pod", batch)
    assert store.read("2026-11-30", "12-pod-0.jsonl") == b"first\n" + batch


def test_a_row_after_a_truncated_line_starts_a_new_line(tmp_path):
    store = FolderStore(tmp_path)
    for lines in (b'{"kind":"lab', b"second\n", b"third\n"):
        store.add("2026-11-30", "12-pod", lines)
    content = store.read("2026-11-30", "12-pod-0.jsonl")
    assert content == b'{"kind":"lab\nsecond\nthird\n'


def test_lines_written_during_a_deletion_are_kept(tmp_path):
    store = FolderStore(tmp_path)
    store.add("2026-11-30", "12-pod", b"old\n")
    writing = threading.Thread(target=store.add, args=("2026-11-30", "12-pod", b"new\n"))

    def change(content: bytes) -> bytes:
        writing.start()
        writing.join(0.2)
        assert writing.is_alive(), "it waits for the rewrite"
        return content.replace(b"old\n", b"")

    store.rewrite("2026-11-30", "12-pod-0.jsonl", change)
    writing.join(30)
    assert store.read("2026-11-30", "12-pod-0.jsonl") == b"new\n"


def test_an_unwritable_log_path_raises_an_error_with_its_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogStoreError, match="file/shop"):
        FolderStore(tmp_path / "file" / "shop").add("2026-11-30", "12-pod", b"x")


@pytest.mark.parametrize("text", ["[]", "{", '{"sample": 10}', '{"sample": "x", "to": {}}'])
def test_a_malformed_prediction_log_variable_is_refused_by_its_name(text):
    with pytest.raises(ValueError, match="SLUICEGATE_LOG"):
        LogSettings.from_environment({"SLUICEGATE_LOG": text})


def test_a_prediction_log_without_a_path_is_refused():
    with pytest.raises(ValueError, match="neither file nor s3"):
        store_of(settings(target={"gcs": {}}))


def test_monitored_values_are_in_the_row_of_their_prediction_with_its_redaction():
    monitored = {"cars": {"km": [9, 8], "email": ["a@b", "c@d"], "all": [1, 2, 3]}}
    rows = rows_of(
        served({"km": [9, 8]}, Noted(7), Noted(6), batch=True, monitored=monitored),
        redact=("email",),
    )
    assert [row["monitored"] for row in rows] == [
        {"cars": {"km": 9, "all": [1, 2, 3]}}, {"cars": {"km": 8, "all": [1, 2, 3]}},
    ]  # fmt: skip
    (row,) = rows_of(
        served({"km": 9}, Noted(7), monitored={"cars": {"km": [9], "age": [3]}}), only=("km",)
    )
    assert row["monitored"] == {"cars": {"km": 9}}
    (row,) = rows_of(served({"km": 9}, Noted(7)))
    assert "monitored" not in row


# ---- requests ------------------------------------------------------------------------------
def ask(
    log: PredictionLog, *, status: int = 200, own: Callable[[Answer], None] | None = None
) -> bytes:
    """Send a request to an application that answers 7, with what its own code notes."""
    sent: list[bytes] = []
    answer = Answer()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b'{"km":9}'
        if own is not None:
            own(answer)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"7"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"km":9}'}

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def one() -> None:
        current_answer.set(answer)
        logged = LoggedRequests(application, log, Settings("shop", "pricing", "v1", "0123"))
        await logged({"type": "http", "path": "/price"}, receive, send)

    asyncio.run(one())
    return b"".join(sent)


@pytest.mark.parametrize(("status", "logged"), [(200, 1), (201, 1), (400, 0), (500, 0)])
def test_successful_responses_are_logged_and_unchanged(tmp_path, status, logged):
    log = Log(tmp_path)
    log.log.start()
    assert ask(log.log, status=status) == b"7"
    log.log.close()
    assert [row["features"] for row in log.lines()] == [{"km": 9}] * logged


def test_an_unsampled_request_is_not_logged(tmp_path):
    log = Log(tmp_path, percent=10, draw=lambda: 0.5)
    log.log.start()
    chosen: list[bool] = []
    assert ask(log.log, own=lambda answer: chosen.append(answer.logged)) == b"7"
    assert chosen == [False]
    log.log.close()
    assert log.lines() == []


def test_a_mirrored_request_is_not_logged(tmp_path):
    log = Log(tmp_path)
    log.log.start()
    token = current_request.set(Received())
    try:
        ask(log.log)
    finally:
        current_request.reset(token)
    log.log.close()
    assert log.lines() == []


# ---- labels, and the warehouse -------------------------------------------------------------
class Desk:
    """A product with feedback and a log."""

    def __init__(self, folder: Path, **given: Any) -> None:
        secret = folder / "secret"
        secret.mkdir(exist_ok=True)
        (secret / "hmac").write_bytes(b"k" * 32)
        (secret / "bearer").write_text(BEARER.partition(" ")[2])
        self.log = Log(folder / "log", **given)
        self.log.log.start()
        self.feedback = Feedback(
            Settings("shop", "pricing", "v1", "0123"),
            KeyFiles(secret),
            OutcomeCounters.create(version="v1", registry=CollectorRegistry()),
            lambda prediction, truth: Score(Outcome.of(correct=prediction == truth)),
            clock=lambda: self.log.now,
            log=self.log.log,
        )
        self.warehouse = Warehouse(self.log.store, "shop", "pricing")

    def predict(self, value: Any, body: Any = None, *, caller_id: str = "") -> str:
        """Answer a request that is logged if it is chosen; return its token."""
        answer = Answer(caller_id=caller_id, logged=self.log.log.samples(caller_id))
        context = current_answer.set(answer)
        token = self.feedback.token(value)
        current_answer.reset(context)
        assert token is not None
        if answer.logged:
            self.log.log.put(served(body, *answer.predictions, seconds=self.log.now))
        return token

    def send(self, **label: Any) -> dict[str, Any]:
        """Send a label."""
        return self.feedback.receive([Label(**label)], BEARER).body

    def labelled(self, since: float, until: float, **given: Any) -> list[tuple[Any, Any, Any]]:
        """Return features, predictions and truths of an interval, in seconds from the start."""
        self.log.log.close()
        rows = self.warehouse.labelled(at(since), at(until), **given)
        return [(row.features, row.prediction, row.truth) for row in rows]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def test_labels_are_joined_with_their_predictions_by_arrival_time(tmp_path):
    desk = Desk(tmp_path)
    tokens = [desk.predict(number, {"km": number}) for number in (1, 2, 3)]
    for token, after in zip(tokens, (60, 120, 86_400 * 3), strict=True):
        desk.log.now = START + after
        assert desk.send(token=token, truth=after) == {"counted": 1, "refused": []}
    assert desk.labelled(60, 86_400 * 3) == [
        ({"km": 2}, 2, 120),
        ({"km": 3}, 3, 86_400 * 3),
    ]
    assert desk.labelled(0, 60) == [({"km": 1}, 1, 60)]


def test_the_label_of_an_unsampled_prediction_is_counted_and_not_logged(tmp_path):
    desk = Desk(tmp_path, percent=10, draw=lambda: 0.5)
    assert desk.send(token=desk.predict(1), truth=1)["counted"] == 1
    assert desk.labelled(-1, 1) == []
    assert desk.log.lines() == []


def test_a_label_by_caller_id_is_logged_and_not_counted(tmp_path):
    desk = Desk(tmp_path)
    desk.predict(1, {"km": 1}, caller_id="o-1")
    body = desk.send(id="o-1", truth=5)
    assert (body["counted"], body["refused"], body["logged"]) == (0, [], 1)
    again = desk.send(id="o-1", truth=6)
    assert [refusal["reason"] for refusal in again["refused"]] == ["Repeated"]
    assert desk.labelled(-1, 1) == [({"km": 1}, 1, 5)]


def test_the_labels_of_ids_that_no_prediction_has_are_counted_when_the_log_is_read(
    tmp_path, caplog
):
    desk = Desk(tmp_path)
    desk.predict(1, {"km": 1}, caller_id="o-1")
    for caller_id in ("o-1", "order-nope"):
        body = desk.send(id=caller_id, truth=5)
        assert "joined by id when the log is read" in body["message"]
    assert desk.labelled(-1, 1) == [({"km": 1}, 1, 5)]
    assert "1 of 2 labels are left out, as the log has no prediction" in caplog.text


def test_the_response_to_a_label_reports_it_as_logged_only_if_it_was(tmp_path):
    desk = Desk(tmp_path, percent=50)
    ids = [f"o-{number}" for number in range(40)]
    sampled = [each for each in ids if desk.log.log.samples(each)]
    assert 0 < len(sampled) < len(ids)
    labels = [Label(id=each, truth=1) for each in (*ids, "x" * 129, "a\nb")]
    body = desk.feedback.receive(labels, BEARER).body
    assert (body["counted"], body["logged"]) == (0, len(sampled))
    assert [refusal["reason"] for refusal in body["refused"]] == ["InvalidId", "InvalidId"]
    assert "1 to 128 printable characters" in body["refused"][0]["message"]


def test_a_label_by_caller_id_does_not_prevent_the_label_by_token_from_counting(tmp_path):
    desk = Desk(tmp_path)
    token = desk.predict(1, {"km": 1}, caller_id="o-1")
    assert desk.send(id="o-1", truth=5)["logged"] == 1
    assert desk.send(token=token, truth=1)["counted"] == 1
    assert desk.send(token=token, truth=1)["refused"][0]["reason"] == "Repeated"
    assert desk.labelled(-1, 1) == [({"km": 1}, 1, 5)]
    assert [row["kind"] for row in desk.log.lines()] == ["prediction", "label"]


@pytest.mark.parametrize("truth", [float("nan"), [1, {"a": float("inf")}]])
def test_a_label_without_json_is_refused(tmp_path, truth):
    desk = Desk(tmp_path)
    token = desk.predict(1, {"km": 1}, caller_id="o-1")
    for label in ({"token": token}, {"id": "o-1"}):
        (refusal,) = desk.send(**label, truth=truth)["refused"]
        assert (refusal["reason"], "NaN and Infinity" in refusal["message"]) == (
            "InvalidTruth",
            True,
        )
    assert desk.labelled(-1, 1) == []
    assert desk.send(token=token, truth=1)["counted"] == 1


def test_a_label_by_caller_id_requires_a_prediction_log(tmp_path):
    desk = Desk(tmp_path)
    desk.feedback.log = None
    (refusal,) = desk.send(id="o-1", truth=5)["refused"]
    assert (refusal["reason"], "set it, or send the token" in refusal["message"]) == ("NoLog", True)


def test_a_label_that_two_pods_received_is_counted_once(tmp_path):
    desk = Desk(tmp_path)
    token = desk.predict(1, {"km": 1})
    desk.send(token=token, truth=1)
    other = Desk(tmp_path)
    other.log.now = START + 60
    assert other.send(token=token, truth=2)["counted"] == 1
    other.log.log.close()
    assert desk.labelled(-1, 30) == [({"km": 1}, 1, 1)]
    assert desk.labelled(30, 90) == []


def test_the_first_of_two_responses_with_one_id_is_the_row(tmp_path):
    desk = Desk(tmp_path)
    desk.predict(1, {"km": 1}, caller_id="o-1")
    desk.log.now = START + 1
    token = desk.predict(2, {"km": 1}, caller_id="o-1")
    desk.send(token=token, truth=2)
    assert desk.labelled(-1, 90) == [({"km": 1}, 1, 2)]


def test_a_prediction_is_joined_with_labels_of_the_requested_days(tmp_path):
    desk = Desk(tmp_path)
    token = desk.predict(1, {"km": 1})
    desk.log.log.close()
    later = Desk(tmp_path)
    later.log.now = START + 6 * 86_400
    later.send(token=token, truth=1)
    interval = (5 * 86_400, 7 * 86_400)
    assert later.labelled(*interval, days=2) == []
    assert later.labelled(*interval) == [({"km": 1}, 1, 1)]


def test_the_rows_of_a_person_are_deleted_with_their_labels(tmp_path):
    desk = Desk(tmp_path, person="owner", redact=("owner",))
    for owner in ("c-1", "c-2", "c-1"):
        desk.send(token=desk.predict(1, {"owner": owner}), truth=1)
    desk.log.log.close()
    assert desk.warehouse.forget("c-1") == 2
    assert len(desk.log.lines()) == 2
    assert len(desk.labelled(-1, 1)) == 1
    assert desk.warehouse.forget("c-1") == 0


def content(desk: Desk) -> str:
    """Return the content of all files of the log's folder."""
    files = sorted(path for path in desk.log.store.root.rglob("*") if path.is_file())
    return "".join(path.read_text() for path in files)


def a_person(tmp_path: Path) -> Desk:
    """Return a log with two labelled predictions of a person and one of another."""
    desk = Desk(tmp_path, person="owner", redact=("owner",))
    for owner in ("c-1", "c-2", "c-1"):
        desk.send(token=desk.predict(1, {"owner": owner}), truth=1)
    desk.log.log.close()
    return desk


def test_a_failed_deletion_reports_the_number_of_deleted_predictions_and_can_be_repeated(tmp_path):
    desk = a_person(tmp_path)
    before = content(desk)
    with full_at(100), pytest.raises(WarehouseError, match="0 predictions are deleted so far"):
        desk.warehouse.forget("c-1")
    assert content(desk) == before, "neither a copy nor a part is left"
    assert desk.warehouse.forget("c-1") == 2
    assert len(desk.log.lines()) == 2


class Half(FolderStore):
    """A folder of which only the first files can be replaced."""

    rewrites = 0

    def rewrite(self, date: str, name: str, change: Callable[[bytes], bytes]) -> None:
        self.rewrites -= 1
        if self.rewrites < 0:
            raise LogStoreError("the store is away")
        FolderStore.rewrite(self, date, name, change)


@pytest.mark.parametrize("rewrites", range(4))
def test_repeating_an_interrupted_deletion_removes_all_labels(tmp_path, rewrites):
    desk = a_person(tmp_path)
    (date,) = desk.log.store.dates()
    (name,) = desk.log.store.names(date)
    lines = desk.log.store.read(date, name).splitlines(keepends=True)
    desk.log.store.remove(date)
    for kind in ("prediction", "label"):
        own = [line for line in lines if json.loads(line)["kind"] == kind]
        desk.log.store.add(date, kind, b"".join(own))
    store = Half(desk.log.store.root)
    store.rewrites = rewrites
    warehouse = Warehouse(store, "shop", "pricing")
    with pytest.raises(WarehouseError, match="0 predictions are deleted so far"):
        warehouse.forget("c-1")
    desk.warehouse.forget("c-1")
    assert len(desk.log.lines()) == 2


def test_a_truncated_line_of_the_person_is_deleted(tmp_path):
    desk = a_person(tmp_path)
    (row,) = served({"owner": "c-1", "street": "Elm 7"}, Noted(1)).lines(desk.log.log.settings)
    desk.log.store.add("2026-11-30", "13-killed", row[:-19])
    assert "Elm" in content(desk)
    assert desk.warehouse.forget("c-1") == 2
    assert "Elm" not in content(desk)


def test_a_temporary_copy_of_an_interrupted_deletion_is_removed(tmp_path):
    desk = a_person(tmp_path)
    (date,) = desk.log.store.dates()
    (name,) = desk.log.store.names(date)
    part = desk.log.store.root / f"date={date}" / name.replace(".jsonl", ".part")
    part.write_text("rows of c-1")
    desk.warehouse.forget("c-1")
    assert not part.exists()


def test_a_deletion_requires_the_path_of_the_person_key(tmp_path):
    desk = a_person(tmp_path)
    warehouse = replace(desk.warehouse, by_person=False)
    with pytest.raises(WarehouseError, match="2 predictions are deleted; others can't be found"):
        warehouse.forget("c-1")
    with pytest.raises(WarehouseError, match=r"set serving\.log\.features\.person"):
        warehouse.forget("c-1")


def test_a_truncated_line_is_ignored(tmp_path):
    desk = Desk(tmp_path)
    desk.send(token=desk.predict(1, {"km": 1}), truth=1)
    desk.log.log.close()
    desk.log.store.add("2026-11-30", "12-killed", b'{"kind":"label","id":"5f')
    assert desk.labelled(-1, 1) == [({"km": 1}, 1, 1)]


def test_a_label_written_after_its_interval_was_read_is_in_the_next_interval(tmp_path):
    desk = Desk(tmp_path)
    token = desk.predict(1, {"km": 1})
    desk.log.now = START + 895
    desk.log.log.close()
    assert desk.labelled(0, 900, write_delay=WRITE_DELAY) == []
    later = Desk(tmp_path)
    later.log.now = START + 895
    later.send(token=token, truth=5)
    assert later.labelled(900, 1800, write_delay=WRITE_DELAY) == [({"km": 1}, 1, 5)]
    assert later.labelled(1800, 2700, write_delay=WRITE_DELAY) == []


@pytest.mark.parametrize(
    ("seconds", "given", "warns"),
    [(0, {}, True), (70, {}, False), (0, {"write_delay": WRITE_DELAY}, False)],
    ids=["now", "earlier", "write_delay"],
)
def test_reading_an_interval_that_ends_now_warns_of_unwritten_labels(
    tmp_path, caplog, seconds, given, warns
):
    until = datetime.now(UTC) - timedelta(seconds=seconds)
    Desk(tmp_path).warehouse.labelled(until - timedelta(days=1), until, **given)
    assert ("set write_delay=WRITE_DELAY" in caplog.text) is warns


def test_an_interval_that_ends_before_it_begins_is_refused(tmp_path):
    with pytest.raises(WarehouseError, match="is after until"):
        Desk(tmp_path).warehouse.labelled(at(1), at(0))


def test_a_missing_log_path_is_an_error_and_an_empty_one_is_not(tmp_path):
    (tmp_path / "there").mkdir()
    there, absent = (
        Warehouse(store_of(settings(target={"file": {"path": str(tmp_path / name)}})), "shop", "x")
        for name in ("there", "absent")
    )
    assert (there.labelled(at(0), at(1)), there.forget("c-1")) == ([], 0)
    for read in (lambda: absent.labelled(at(0), at(1)), lambda: absent.forget("c-1")):
        with pytest.raises(WarehouseError, match="absent: there is no such folder"):
            read()


@pytest.mark.parametrize(
    "line",
    [
        b"[1,2]", b'{"kind":"prediction","id":"x","time":"2026-11-30T00:00:00.000+00:00"}',
        b'{"kind":"label","id":"x","time":5,"truth":1}',
        b'{"kind":"label","id":"x","time":"noon","truth":1}', b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=["a list", "no features", "a number", "no time", "deep"],
)  # fmt: skip
def test_a_malformed_log_row_raises_an_error_with_file_and_line(tmp_path, line):
    desk = Desk(tmp_path)
    desk.log.store.add("2026-11-30", "13-other", b"\0cut off\n" + line + b"\n")
    with pytest.raises(WarehouseError, match=r"13-other-0\.jsonl of 2026-11-30, line 2 is no row"):
        desk.labelled(-1, 1)
    assert desk.warehouse.forget("c-1") == 0


def test_log_rows_of_other_programs_may_have_spaces_and_another_field_order(tmp_path):
    desk = Desk(tmp_path)
    desk.predict(1, {"km": 1}, caller_id="o-1")
    key = CallerId("o-1").identity[:16].hex()
    line = {"id": key, "time": at(0.5).isoformat(), "truth": 5, "kind": "label"}
    desk.log.store.add("2026-11-30", "13-other", json.dumps(line).encode() + b"\n")
    assert desk.labelled(-1, 1) == [({"km": 1}, 1, 5)]


def test_a_time_without_a_zone_is_refused(tmp_path):
    with pytest.raises(WarehouseError, match="need a time zone"):
        Desk(tmp_path).warehouse.labelled(datetime(2026, 11, 1), datetime.now(UTC))  # noqa: DTZ001


def test_the_command_prints_rows_and_deletes_them(tmp_path, monkeypatch, capsys):
    variable = {
        "sample": 100,
        "features": {"person": "owner"},
        "to": {"file": {"path": str(tmp_path)}},
    }
    monkeypatch.setenv("SLUICEGATE_LOG", json.dumps(variable))
    monkeypatch.setenv("SLUICEGATE_NAMESPACE", "shop")
    monkeypatch.setenv("SLUICEGATE_PRODUCT", "pricing")
    desk = Desk(
        tmp_path,
        store=FolderStore(tmp_path / "shop" / "pricing", flush_seconds=0.01),
        person="owner",
    )
    desk.send(token=desk.predict(1, {"owner": "c-1"}), truth=3)
    desk.log.log.close()
    interval = [(at(0) + timedelta(days=days)).isoformat() for days in (-1, 1)]
    assert main(["labelled", *interval]) == 0
    assert json.loads(capsys.readouterr().out)["truth"] == 3
    assert main(["forget", "c-1"]) == 0
    assert "1 predictions are deleted" in capsys.readouterr().out
    monkeypatch.delenv("SLUICEGATE_LOG")
    assert main(["labelled", *interval]) == 1
    assert "set serving.log" in capsys.readouterr().err
