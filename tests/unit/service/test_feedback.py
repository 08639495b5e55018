"""/feedback: who may send the truth, which labels count, and what is counted."""

from http import HTTPStatus

import pytest
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
from sluicegate_service.outcomes import Event, Outcome, OutcomeCounters

BEARER = "Bearer secret-of-the-label-job"


def score(prediction, truth):
    if not isinstance(truth, int):
        raise InvalidTruthError(f"the truth is an integer, not {truth!r}")
    correct = prediction == truth
    return Score(Outcome.of(correct=correct), events={"conversion": Event.of(good=correct)})


class Desk:
    """A product's feedback, its clock, and its counters."""

    def __init__(self, directory, *, version="v1", **settings):
        self.now = 1000.0
        self.registry = CollectorRegistry()
        self.feedback = Feedback(
            Settings("catalog", "pricing", version, **settings),
            KeyFiles(directory),
            OutcomeCounters.create(
                version=version, indicators=("conversion",), registry=self.registry
            ),
            score=score,
            clock=lambda: self.now,
        )

    def send(self, *labels, authorization=BEARER):
        sent = [Label(token=token, truth=truth) for token, truth in labels]
        return self.feedback.receive(sent, authorization)

    def labelled(self, outcome, version="v1"):
        return self.registry.get_sample_value(
            "sluicegate_predictions_labelled_total",
            {"outcome": outcome, "prediction_version": version},
        )

    def events(self, outcome, version="v1"):
        return self.registry.get_sample_value(
            "sluicegate_indicator_events_total",
            {"indicator": "conversion", "outcome": outcome, "prediction_version": version},
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


def test_right_and_wrong_predictions_are_counted_with_their_events(secret):
    desk = Desk(secret)
    answer = desk.send(*((desk.feedback.token(7), truth) for truth in (7, 7, 8)))
    assert (answer.status, answer.body) == (HTTPStatus.OK, {"counted": 3, "refused": []})
    assert [desk.labelled("correct"), desk.labelled("wrong")] == [2, 1]
    assert [desk.events("good"), desk.events("bad")] == [2, 1]


def test_the_version_that_predicted_is_counted_not_the_one_that_hears_the_truth(secret):
    token = Desk(secret, version="v2").feedback.token(7)
    desk = Desk(secret, version="v1")
    desk.send((token, 7))
    assert [desk.labelled("correct", "v2"), desk.labelled("correct", "v1")] == [1, 0]


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic secret-of-the-label-job"]
)
def test_without_the_bearer_token_nothing_counts(secret, authorization):
    desk = Desk(secret)
    answer = desk.send((desk.feedback.token(7), 7), authorization=authorization)
    assert answer.status == HTTPStatus.UNAUTHORIZED
    assert desk.labelled("correct") == 0


def test_without_the_secret_feedback_is_off_and_predictions_carry_no_token(tmp_path):
    desk = Desk(tmp_path / "absent")
    assert desk.feedback.token(7) is None
    assert desk.send(("x", 7)).status == HTTPStatus.NOT_FOUND


def test_half_a_secret_says_which_half_is_missing(secret):
    (secret / "bearer").unlink()
    answer = Desk(secret).send(("x", 7))
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert "no file bearer" in answer.body["error"]


def test_a_token_counts_once(secret):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    answer = desk.send((token, 7), (token, 7))
    assert reasons(answer) == [(1, "Repeated")]
    assert reasons(desk.send((token, 7))) == [(0, "Repeated")]
    assert desk.labelled("correct") == 1


def test_a_truth_that_can_not_be_read_does_not_use_the_token_up(secret):
    desk = Desk(secret)
    token = desk.feedback.token(7)
    assert reasons(desk.send((token, "seven"))) == [(0, "InvalidTruth")]
    assert desk.send((token, 7)).body["counted"] == 1


def test_a_label_counts_from_its_maturity_until_its_token_expires(secret):
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


def test_one_bad_label_does_not_lose_the_others(secret):
    desk = Desk(secret)
    answer = desk.send(("rubbish", 7), (desk.feedback.token(7), 7))
    assert answer.status == HTTPStatus.OK
    assert (answer.body["counted"], reasons(answer)) == (1, [(0, "InvalidToken")])


def test_more_labels_than_a_request_may_carry_are_refused_as_a_whole(secret):
    desk = Desk(secret)
    answer = desk.send(*[(desk.feedback.token(7), 7)] * 501)
    assert answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert desk.labelled("correct") == 0


def test_a_rotated_secret_is_taken_up_and_tokens_of_the_old_key_still_count(secret):
    desk = Desk(secret)
    before = desk.feedback.token(7)
    (secret / "hmac-previous").write_bytes(b"k" * 32)
    (secret / "hmac").write_bytes(b"n" * 32)
    after = desk.feedback.token(7)
    assert desk.send((before, 7), (after, 7)).body["counted"] == 2
    (secret / "hmac-previous").unlink()
    assert reasons(desk.send((desk.feedback.token(7), 7), (before, 7))) == [(1, "InvalidToken")]


def test_the_memory_of_seen_tokens_is_bounded_and_forgets_the_oldest():
    seen = SeenTokens(limit=2)
    assert [seen.add(token) for token in ("a", "b", "b", "c")] == [True, True, False, True]
    assert seen.add("a"), "forgotten for c"
    assert not seen.add("c")


def test_settings_name_the_variable_that_is_no_number():
    with pytest.raises(ValueError, match="LABEL_MATURITY_SECONDS must be a number of seconds"):
        Settings.from_environment({"LABEL_MATURITY_SECONDS": "1h"})
