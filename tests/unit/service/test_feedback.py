"""/feedback: who may send the truth, which labels count, and what is counted."""

from http import HTTPStatus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from sluicegate_service.feedback import (
    Feedback,
    InvalidTruthError,
    Label,
    Score,
    SeenTokens,
    Settings,
)
from sluicegate_service.keys import KeyFiles
from sluicegate_service.outcomes import AGES, Event, Outcome, OutcomeCounters

BEARER = "Bearer secret-of-the-label-job"


def score(prediction, truth):
    if not isinstance(truth, int):
        raise InvalidTruthError(f"the truth is an integer, not {truth!r}")
    correct = prediction == truth
    return Score(Outcome.of(correct=correct), events={"conversion": Event.of(good=correct)})


def predicted(version: str, revision: str) -> dict[str, str]:
    return {"prediction_version": version, "prediction_revision": revision}


class Desk:
    """A product's feedback, its clock, and its counters."""

    def __init__(self, directory, *, version="v1", revision="", scorer=None, **settings):
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.feedback = Feedback(
            Settings("catalog", "pricing", version, revision, **settings),
            KeyFiles(directory),
            OutcomeCounters.create(
                version=version,
                revision=revision,
                indicators=("conversion",),
                registry=self.registry,
            ),
            score=scorer or score,
            clock=lambda: self.now,
        )

    def send(self, *labels, authorization=BEARER):
        sent = [Label(token=token, truth=truth) for token, truth in labels]
        return self.feedback.receive(sent, authorization)

    def labelled(self, outcome, version="v1", revision="", ages=AGES):
        labels = {"outcome": outcome, **predicted(version, revision)}
        name = "sluicegate_predictions_labelled_total"
        counts = (self.registry.get_sample_value(name, {**labels, "age": age}) or 0 for age in ages)
        return sum(counts)

    def events(self, outcome, version="v1", revision=""):
        return self.registry.get_sample_value(
            "sluicegate_indicator_events_total",
            {"indicator": "conversion", "outcome": outcome, **predicted(version, revision)},
        )


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "hmac").write_bytes(b"k" * 32 + b"\n")
    (tmp_path / "bearer").write_bytes(b"secret-of-the-label-job\n")
    return tmp_path


def reasons(answer):
    return [(refusal["index"], refusal["reason"]) for refusal in answer.body["refused"]]


def test_series_of_the_serving_version_begin_at_zero(secret):
    desk = Desk(secret)
    assert [desk.labelled("correct"), desk.labelled("wrong")] == [0, 0]
    assert [desk.events("good"), desk.events("bad")] == [0, 0]


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (0, "30"), (30, "30"), (31, "300"), (3600, "3600"), (86_401, "259200"),
        (5 * 86_400, "+Inf"), (-3, "30"),
    ],
)  # fmt: skip
def test_a_label_is_counted_in_the_age_class_of_its_prediction(secret, seconds, age):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    desk.now += seconds
    desk.send((token, 8))
    assert desk.labelled("wrong", ages=[age]) == desk.labelled("wrong") == 1


def test_label_age_classes_add_twelve_series_per_version(secret):
    desk = Desk(secret)
    series = [
        sample
        for family in desk.registry.collect()
        for sample in family.samples
        if sample.name == "sluicegate_predictions_labelled_total"
    ]
    assert len(series) == 2 + 12


def test_right_and_wrong_predictions_are_counted_with_their_events(secret):
    desk = Desk(secret)
    answer = desk.send(*((desk.feedback.token(7), truth) for truth in (7, 7, 8)))
    assert (answer.status, answer.body) == (HTTPStatus.OK, {"counted": 3, "refused": []})
    assert [desk.labelled("correct"), desk.labelled("wrong")] == [2, 1]
    assert [desk.events("good"), desk.events("bad")] == [2, 1]


def test_a_label_counts_for_the_version_that_predicted_and_not_for_the_version_that_receives_it(
    secret,
):
    token = Desk(secret, version="v2").feedback.token(7)
    desk = Desk(secret, version="v1")
    desk.send((token, 7))
    assert [desk.labelled("correct", "v2"), desk.labelled("correct", "v1")] == [1, 0]


def test_labels_are_counted_separately_by_runtime_revision_of_a_version(secret):
    token = Desk(secret, revision="0123456789").feedback.token(7)
    desk = Desk(secret, revision="abcdef0123")
    desk.send((token, 7))
    assert desk.labelled("correct", revision="0123456789") == 1
    assert desk.labelled("correct", revision="abcdef0123") == 0
    assert desk.events("good", revision="0123456789") == 1


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic secret-of-the-label-job"]
)
def test_feedback_without_the_bearer_token_is_refused(secret, authorization):
    desk = Desk(secret)
    answer = desk.send((desk.feedback.token(7), 7), authorization=authorization)
    assert answer.status == HTTPStatus.UNAUTHORIZED
    assert desk.labelled("correct") == 0


def test_without_the_secret_feedback_is_off_and_predictions_carry_no_token(tmp_path):
    desk = Desk(tmp_path / "absent")
    assert desk.feedback.token(7) is None
    assert desk.send(("x", 7)).status == HTTPStatus.NOT_FOUND


def test_an_incomplete_feedback_secret_is_logged_and_not_revealed_to_the_caller(secret, caplog):
    (secret / "bearer").unlink()
    answer = Desk(secret).send(("x", 7))
    assert f"{secret} has no key bearer" in caplog.text
    assert str(secret) not in answer.body["error"]
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "serving.feedback.secretRef" in answer.body["error"]


def test_a_feedback_token_counts_once(secret):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    answer = desk.send((token, 7), (token, 7))
    assert reasons(answer) == [(1, "Repeated")]
    assert reasons(desk.send((token, 7))) == [(0, "Repeated")]
    assert desk.labelled("correct") == 1


@given(respelt=st.data())
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_a_feedback_token_counts_once_in_any_encoding(secret, respelt):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    spellings = respelt.draw(st.lists(spellings_of(token), min_size=1, max_size=20))
    answer = desk.send((token, 7), *((spelling, 7) for spelling in spellings))
    assert answer.body["counted"] == 1
    assert desk.send(*((spelling, 7) for spelling in spellings)).body["counted"] == 0
    assert desk.labelled("correct") == 1


def spellings_of(token):
    """Return texts that a lenient decoder takes for the token: padding, spare bits, other alphabets."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    payload, signature = token.split(".")

    def spare_bits(part):
        last = alphabet.index(part[-1])
        free = {2: 4, 3: 2}.get(len(part) % 4, 0)
        same = [alphabet[(last >> free << free) + more] for more in range(2**free)]
        return st.sampled_from(same).map(lambda end: part[:-1] + end)

    def spelling(part):
        padded = st.tuples(spare_bits(part), st.sampled_from(["", "=", "==", "===", "\n", " "]))
        plain = padded.map("".join)
        return st.one_of(plain, plain.map(lambda text: text.replace("-", "+").replace("_", "/")))

    return st.tuples(spelling(payload), spelling(signature)).map(".".join)


@pytest.mark.parametrize(
    "truth", [10**400, -(10**400), 10**4000, float("inf"), float("nan"), [[]], {"price": None}]
)
def test_a_label_that_raises_in_the_scorer_is_refused_and_the_next_one_counts(secret, truth):
    desk = Desk(secret, scorer=careless)
    tokens = [desk.feedback.token(7) for _ in range(2)]
    answer = desk.send((tokens[0], truth), (tokens[1], 7))
    assert answer.body["counted"] == 1
    assert reasons(answer) == [(0, "InvalidTruth")]


def careless(prediction, truth):
    return Score(Outcome.of(correct=int(float(truth)) == prediction))


@pytest.mark.parametrize("name", ["hmac", "bearer", "hmac-previous"])
@pytest.mark.parametrize("ruined", [b"short", b"", None, "a folder"])
@pytest.mark.parametrize("begins_with", ["a good Secret", "this Secret"])
def test_a_missing_or_invalid_feedback_secret_fails_no_prediction(
    secret, name, ruined, begins_with
):
    desk = Desk(secret)
    before = desk.feedback.token(7) if begins_with == "a good Secret" else None
    ruin(secret / name, ruined)
    token = desk.feedback.token(7)
    optional = name == "hmac-previous" and ruined in (b"", None)
    answer = desk.send((before or "x", 7))
    assert answer.status == (HTTPStatus.OK if optional else HTTPStatus.SERVICE_UNAVAILABLE)
    assert (token is None) == (name == "hmac" and before is None)
    for one, content in (("hmac", b"k" * 32), ("bearer", BEARER[7:].encode())):
        ruin(secret / one, content)
    ruin(secret / "hmac-previous", None)
    assert token is None or desk.send((token, 7)).body["counted"] == 1, "signed with a good key"


def ruin(path, content):
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if content == "a folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)


def test_an_empty_feedback_secret_is_reported_as_invalid_and_not_as_disabled(tmp_path):
    desk = Desk(tmp_path)
    assert desk.feedback.token(7) is None
    assert desk.send(("x", 7)).status == HTTPStatus.SERVICE_UNAVAILABLE


def test_an_unreadable_label_does_not_consume_its_token(secret):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    assert reasons(desk.send((token, "seven"))) == [(0, "InvalidTruth")]
    (refusal,) = Desk(secret, scorer=careless).send((token, {"price": 7})).body["refused"]
    assert refusal["message"].startswith(
        "the truth is an object, and predictions are a number: they"
    )
    assert desk.send((token, 7)).body["counted"] == 1


def test_a_label_counts_from_its_maturity_to_the_expiry_of_its_token(secret):
    desk = Desk(secret, maturity_seconds=60, lifetime_seconds=600)
    tokens = [desk.feedback.token(7) for _ in range(3)]
    desk.now += 59
    assert reasons(desk.send((tokens[0], 7))) == [(0, "Immature")]
    desk.now += 1
    assert desk.send((tokens[0], 7)).body["counted"] == 1
    desk.now += 540
    assert desk.send((tokens[1], 7)).body["counted"] == 1
    desk.now += 1
    assert reasons(desk.send((tokens[2], 7))) == [(0, "Expired")]


def test_an_invalid_label_does_not_drop_the_others_of_its_request(secret):
    desk = Desk(secret)
    answer = desk.send(("rubbish", 7), (desk.feedback.token(7), 7))
    assert answer.status == HTTPStatus.OK
    assert (answer.body["counted"], reasons(answer)) == (1, [(0, "InvalidToken")])


def test_more_labels_than_a_request_may_carry_are_refused_as_a_whole(secret):
    desk = Desk(secret)
    answer = desk.send(*[(desk.feedback.token(7), 7)] * 501)
    assert answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert desk.labelled("correct") == 0


def test_a_rotated_secret_is_reloaded_and_tokens_of_the_old_key_still_count(secret):
    desk = Desk(secret)
    before = desk.feedback.token(7)
    (secret / "hmac-previous").write_bytes(b"k" * 32)
    (secret / "hmac").write_bytes(b"n" * 32)
    after = desk.feedback.token(7)
    assert desk.send((before, 7), (after, 7)).body["counted"] == 2
    (secret / "hmac-previous").unlink()
    assert reasons(desk.send((desk.feedback.token(7), 7), (before, 7))) == [(1, "InvalidToken")]


def test_the_set_of_used_tokens_is_bounded_and_drops_the_oldest():
    seen = SeenTokens(limit=2)
    assert [seen.add(one) for one in (b"a", b"b", b"b", b"c")] == [True, True, False, True]
    assert seen.add(b"a"), "forgotten for c"
    assert not seen.add(b"c")


def test_a_non_numeric_feedback_setting_is_refused_with_its_variable():
    with pytest.raises(ValueError, match="LABEL_MATURITY_SECONDS must be a number of seconds"):
        Settings.from_environment({"LABEL_MATURITY_SECONDS": "1h"})


def test_launcher_and_service_code_share_the_metric_families_of_a_registry():
    """BentoML's process had a family twice, and didn't start, if the service created its own counters."""
    registry = CollectorRegistry()
    launcher, service = (
        OutcomeCounters.create(version="v1", indicators=names, registry=registry)
        for names in ((), ("conversion",))
    )
    launcher.count(Outcome.CORRECT, version="v1")
    service.count(Outcome.CORRECT, version="v1")
    labels = {"outcome": "correct", "age": AGES[0], **predicted("v1", "")}
    assert registry.get_sample_value("sluicegate_predictions_labelled_total", labels) == 2
    assert service.indicators == ("conversion",)
