"""Rules that hold over all texts of the catalogue: what people read without knowing the operator."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sluicegate.api.base import rfc3339
from sluicegate.notify.catalogue import MESSAGE_CATALOGUE, Kind, Urgency
from sluicegate.notify.message_batches import group_message, single_message
from sluicegate.notify.transitions import Origin, Transition
from sluicegate.notify.wording import wording_of

NOW = 1_700_000_000
PAGES = "https://products.example"
EVERY = pytest.mark.parametrize("kind", list(Kind))
ASKS = pytest.mark.parametrize("kind", [kind for kind in Kind if MESSAGE_CATALOGUE[kind].needs])


def transition(kind: Kind, number: int = 0, *, needs_person: bool = False) -> Transition:
    """A transition of a product with an owner."""
    origin = Origin("catalog", f"search-{number}", owner=f"group:default/search-{number}")
    return Transition(
        f"{number:016x}", kind, origin, NOW, reason="ModelDecay", message="accuracy is at 81.0 %",
        version="v2", needs_person=needs_person,
    )  # fmt: skip


def text(found: Transition) -> str:
    """The text that people read of one transition."""
    return wording_of(single_message(found, NOW), cluster="production", portfolio=PAGES).body


@EVERY
def test_every_message_has_its_time_one_link_and_no_placeholder(kind):
    body = text(transition(kind, needs_person=bool(MESSAGE_CATALOGUE[kind].needs)))
    assert f"At {rfc3339(NOW)}" in body.splitlines()
    assert body.count("https://") == 1
    assert not re.search(r"[{}]|\b(None|TOKEN|nan)\b", body)


@ASKS
def test_every_message_with_a_need_names_the_person_the_action_and_the_command(kind):
    lines = text(transition(kind, needs_person=True)).splitlines()
    (asked,) = [line for line in lines if line.startswith("Asked of group:default/search-0: ")]
    (command,) = [line for line in lines if line.startswith("Next: kubectl sluicegate ")]
    assert lines.index(command) == lines.index(asked) + 1
    assert len(asked.rpartition(": ")[2]) > 10
    assert lines[-1].endswith("#act")


@EVERY
def test_a_message_without_a_need_requests_no_action(kind):
    found = transition(kind)
    if found.urgency is not Urgency.NEEDS_PERSON:
        assert not re.search(r"^Asked", text(found), re.MULTILINE)
        assert ("\nNext: " in text(found)) == bool(MESSAGE_CATALOGUE[kind].next_step)


def test_the_message_about_lost_measurements_has_the_diagnostic_command():
    lines = text(transition(Kind.METRICS_LOST)).splitlines()
    assert "Next: kubectl sluicegate explain catalog/search-0" in lines


@EVERY
def test_every_message_about_an_open_problem_names_the_current_action_of_the_operator(kind):
    entry = MESSAGE_CATALOGUE[kind]
    is_open = entry.urgency in {Urgency.NEEDS_PERSON, Urgency.BAD_NEWS}
    found = replace(transition(kind), now="v1 is retrained" if kind is Kind.DEGRADED else "")
    assert not is_open or "\nNow: " in text(found)


@EVERY
def test_only_messages_with_needs_request_an_action(kind):
    assert bool(MESSAGE_CATALOGUE[kind].request) == bool(MESSAGE_CATALOGUE[kind].needs)


@ASKS
def test_a_message_about_several_products_names_the_responsible_persons(kind):
    several = [transition(kind, number, needs_person=True) for number in range(3)]
    body = wording_of(group_message(several, NOW), portfolio=PAGES).body
    assert "Asked of group:default/search-0, group:default/search-1, " in body
    assert "Next: kubectl sluicegate get -A --needs-action" in body
    assert f"At {rfc3339(NOW)}" in body


@pytest.mark.parametrize("kind", list(MESSAGE_CATALOGUE))
def test_catalogue_texts_are_short_sentence_fragments(kind):
    for part in (MESSAGE_CATALOGUE[kind].now, MESSAGE_CATALOGUE[kind].request):
        assert len(part) <= 120, part
        assert not part.endswith(".")
