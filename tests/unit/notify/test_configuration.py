"""The configuration file, where messages go by it, and what the command prints of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.notify.catalogue import Kind, render_page
from sluicegate.notify.configuration import InvalidConfiguration, load, parse
from sluicegate.notify.message_batches import Collected, batch_of, sinks_of
from sluicegate.notify.transitions import Origin, Transition
from tests.support.receivers.changing_product import ChangingProduct
from tests.support.virtual.stories import product

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_700_000_000
BUS = {"kind": "CloudEvents", "url": "http://bus.example"}


def configuration(*routes, **parts):
    sinks = {"bus": BUS, "chat": BUS, "calls": BUS}
    return parse({"sinks": sinks, "routes": list(routes) or [{"to": ["bus"]}], **parts})


def transition(kind=Kind.DEGRADED, name="search", number=0, **more):
    origin = Origin("catalog", name, "u", "group:default/search", "High", ("FR", "AT"))
    return Transition(f"{number:016x}", kind, origin, NOW, **more)


def test_the_catalogue_page_is_generated_from_the_code():
    page = (ROOT / "docs/notification-catalogue.md").read_text(encoding="utf-8")
    assert page == render_page(), (
        "python -m sluicegate.notify.catalogue > docs/notification-catalogue.md"
    )


def test_the_example_on_the_page_is_a_valid_configuration():
    page = (ROOT / "docs/notifications.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert parse(yaml.safe_load(block)["notify"]["config"]).digests[0].time_zone == "Europe/Paris"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"sinks": {}}, "sinks", "at least 1 item"),
        ({"routes": [{"to": ["nowhere"]}]}, "routes.0.to", 'names "nowhere", which is no sink: one of bus'),
        ({"sinks": {"bus": {"kind": "Carrier"}}}, "sinks.bus", "expected tags"),
        ({"sinks": {"bus": {"kind": "CloudEvents"}}}, "sinks.bus", "needs one of url and urlFile"),
        ({"sinks": {"bus": BUS | {"url": "ftp://b"}}}, "sinks.bus.url", "must begin with http"),
        ({"sinks": {"bus": BUS | {"url": "http://u:p@b"}}}, "sinks.bus.url", "put it into a file"),
        ({"routes": [{"to": ["bus"], "wen": {}}]}, "routes.0.wen", "is no field"),
        ({"routes": [{"to": ["bus"], "when": {"type": ["exploded"]}}]}, "routes.0.when.type.0", "should be"),
        ({"digests": [{"at": "25:00", "to": ["bus"]}]}, "digests.0.at", "should match"),
        ({"digests": [{"at": "08:00", "timeZone": "Mars", "to": ["bus"]}]}, "digests.0.timeZone", "IANA"),
        (
            {"digests": [{"at": "08:00", "to": ["bus"]}, {"at": "09:00", "to": ["bus"]}]},
            "digests.1.name", 'is "daily", as that of an earlier digest: set another name',
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_the_messenger_configuration_is_named_with_its_field(change, path, words):
    with pytest.raises(InvalidConfiguration) as refused:
        parse({"sinks": {"bus": BUS}, "routes": [{"to": ["bus"]}], **change})
    (problem,) = refused.value.problems
    assert problem.path == path
    assert words in problem.message
    assert "u:p" not in str(problem)


@pytest.mark.parametrize("text", ["[", "17", None, "\x00"])
def test_a_file_without_a_messenger_configuration_is_refused(text, tmp_path):
    path = tmp_path / "notify.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidConfiguration, match=r"notify\.yaml: "):
        load(path)


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({}, True),
        ({"team": ["group:default/search"]}, True),
        ({"team": ["group:default/pricing"]}, False),
        ({"namespace": ["catalog"], "product": ["search"]}, True),
        ({"market": ["DE", "AT"]}, True),
        ({"market": ["DE"]}, False),
        ({"priority": ["Critical"]}, False),
        ({"urgency": ["BadNews"], "type": ["degraded"], "reason": ["ModelDecay"]}, True),
        ({"urgency": ["NeedsPerson"]}, False),
        ({"type": ["promoted"]}, False),
        ({"reason": ["ModelTooSlow"]}, False),
    ],
)
def test_a_notification_route_matches_only_what_it_names(when, matches):
    found = sinks_of(transition(reason="ModelDecay"), configuration({"when": when, "to": ["bus"]}))
    assert found == (("bus",) if matches else ())


def test_the_first_matching_notification_route_applies_unless_it_continues():
    routes = [
        {"to": ["bus"], "continue": True},
        {"to": ["chat", "bus"]},
        {"to": ["calls"]},
    ]
    assert sinks_of(transition(), configuration(*routes)) == ("bus", "chat")


def test_grouping_keeps_the_message_order_of_a_product():
    """Three degrade and recover, three do it the other way round: four messages, none ahead."""
    ahead, behind = (Kind.DEGRADED, Kind.RECOVERED), (Kind.RECOVERED, Kind.DEGRADED)
    found = [
        transition(kind, f"product-{number}", 2 * number + at)
        for number in range(6)
        for at, kind in enumerate(ahead if number < 3 else behind)
    ]
    collected = [Collected(at, NOW, one) for at, one in enumerate(found)]
    batch = batch_of(collected, {}, configuration(foldSeconds=0, groupSeconds=0), NOW)
    order = {}
    for message in batch.messages:
        for one in message.transitions:
            order.setdefault(one.origin.name, []).append(one.kind)
    assert len(batch.messages) == 4
    assert all(order[f"product-{number}"] == [*ahead] for number in range(3))
    assert all(order[f"product-{number}"] == [*behind] for number in range(3, 6))


def test_a_team_receives_only_its_own_products_of_a_common_cause():
    routes = [
        {"when": {"product": ["product-0"]}, "to": ["chat"], "continue": True},
        {"to": ["bus"]},
    ]
    found = [transition(name=f"product-{number}", number=number) for number in range(4)]
    collected = [Collected(at, NOW, one) for at, one in enumerate(found)]
    batch = batch_of(collected, {}, configuration(*routes, groupSeconds=0), NOW)
    assert {(message.sinks, len(message.transitions)) for message in batch.messages} == {
        (("chat",), 1), (("bus",), 4),
    }  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """A configuration, and two states of a product: before and after it is degraded."""
    changing = ChangingProduct(NOW)
    documents = {"before.yaml": {**product(), "status": changing.body()}}
    changing.now += 60
    changing.degrade()
    documents["after.yaml"] = {**product(), "status": changing.body()}
    documents["notify.yaml"] = {"sinks": {"bus": BUS}, "routes": [{"to": ["bus"]}]}
    for name, document in documents.items():
        (tmp_path / name).write_text(yaml.safe_dump(document))
    return tmp_path


def test_a_messenger_dry_run_prints_the_messages(files, capsys):
    config = ["notify", "--config", str(files / "notify.yaml")]
    pair = [str(files / name) for name in ("before.yaml", "after.yaml")]
    assert main([*config, "--dry-run", *pair]) == 0
    assert "to bus: [bad] catalog/search is degraded" in capsys.readouterr().out
    assert main([*config, "--dry-run", *pair, "--output", "json"]) == 0
    event = json.loads(capsys.readouterr().out)["event"]
    assert event["type"] == "dev.sluicegate.product.degraded.v1"
    assert main([*config, "--dry-run", pair[1], pair[1]]) == 0
    assert capsys.readouterr().out.startswith("nothing is sent")


def test_the_check_of_a_messenger_configuration_reports_its_mistakes(files, capsys):
    config = files / "notify.yaml"
    assert main(["notify", "--config", str(config), "--check"]) == 0
    assert "1 sink, 1 route, 0 digests\n" in capsys.readouterr().out
    whole = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(whole | {"sinks": whole["sinks"] | {"mail": BUS}}))
    assert main(["notify", "--config", str(config), "--check"]) == 0
    assert "sinks.mail receives no message: no route and no digest" in capsys.readouterr().out
    config.write_text("sinks: {}\nroutes: []\n")
    assert main(["notify", "--config", str(config), "--check"]) == 2
    assert "sinks: " in capsys.readouterr().err


def test_testing_an_unknown_sink_names_the_configured_sinks(files, capsys):
    assert main(["notify", "--config", str(files / "notify.yaml"), "--test", "chat"]) == 2
    assert "name a sink that receives messages: bus" in capsys.readouterr().err
