"""What the plugin prints: kubectl's tables in each width, and nothing that a terminal obeys."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import sluicegate.cli
from sluicegate.__main__ import main
from sluicegate.api.product import DataProduct
from sluicegate.cli.kubectl.get import DISPENSABLE, HEADER, row
from sluicegate.cli.kubectl.history import ITERATIONS, SHORTENED
from sluicegate.cli.kubectl.status import lines
from sluicegate.cli.printing.output import as_json, as_yaml
from sluicegate.cli.printing.terminal import coloured, columns, table
from sluicegate.cli.trials.explain import status_lines
from sluicegate.views import product as facts
from sluicegate.views.plain_text import UNSAFE_CHARACTERS, clean_text
from tests.support.samples.product_examples import example, full_status

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOSTILE = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b]0;title\x07after": "after",
    "\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x9b2Jcleared": "cleared",
    "one\ntwo\rthree\tfour": "one twothree four",
    "\u202egnp.exe": "gnp.exe",
    "zero\u200bwidth\ufeff": "zerowidth",
    "\x1bPq#0;2;0;0;0\x1b\\sixel": "sixel",
    "\x1bcreset": "reset",
    "plain Größe 価格": "plain Größe 価格",
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=map(repr, HOSTILE))
def test_terminal_control_sequences_are_removed_from_object_texts(text, shown):
    assert clean_text(text) == shown


@given(st.text())
def test_no_output_text_contains_a_control_character(text):
    assert not UNSAFE_CHARACTERS.search(clean_text(text))


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5))
def test_json_and_yaml_output_escape_control_characters_without_loss(value):
    document = {"text": value}
    assert json.loads(as_json(document)) == document
    assert not UNSAFE_CHARACTERS.search(as_json(document).replace("\n", ""))
    assert not UNSAFE_CHARACTERS.search(as_yaml(document).replace("\n", ""))


def test_yaml_output_round_trips_hostile_texts():
    document = {str(number): text for number, text in enumerate(HOSTILE)}
    assert yaml.safe_load(as_yaml(document)) == document


def products() -> list[dict]:
    found = []
    for name, state, canary, reason, owner in (
        ("pricing", "Healthy", "", "", "group:default/pricing"),
        ("search-ranking", "Degraded", "v16@25", "AwaitingApproval", "group:default/search"),
        (
            "delivery-time-estimation",
            "Unknown",
            "",
            "Stalled: InvalidSpec",
            "group:default/logistics",
        ),
    ):
        document = example()
        document["metadata"] = {"namespace": "catalog", "name": name, "creationTimestamp": "2026-02-20T00:00:00Z"}  # fmt: skip
        document["spec"]["owner"] = owner
        document["status"] = full_status() | {
            "state": state,
            "stable": {"version": "v15-2026-02-19"},
            "summary": {
                "slo": "accuracy AtRisk",
                "canary": canary,
                "reason": reason,
            },
        }
        found.append(document)
    return found


GOLDEN = {
    80: """\
NAMESPACE  NAME                      STATE     MODEL           CANARY  REASON
catalog    pricing                   Healthy   v15-2026-02-19  <none>  <none>
catalog    search-ranking            Degraded  v15-2026-02-19  v16@25  Awaiting…
catalog    delivery-time-estimation  Unknown   v15-2026-02-19  <none>  Stalled:…
""",
    120: """\
NAMESPACE  NAME                      STATE     SLO              MODEL           CANARY  TEAM       REASON
catalog    pricing                   Healthy   accuracy AtRisk  v15-2026-02-19  <none>  pricing    <none>
catalog    search-ranking            Degraded  accuracy AtRisk  v15-2026-02-19  v16@25  search     AwaitingApproval
catalog    delivery-time-estimation  Unknown   accuracy AtRisk  v15-2026-02-19  <none>  logistics  Stalled: InvalidSpec
""",
    200: """\
NAMESPACE  NAME                      STATE     SLO              MODEL           CANARY  TEAM       MARKETS      AGE  REASON
catalog    pricing                   Healthy   accuracy AtRisk  v15-2026-02-19  <none>  pricing    FR,BE,ES,+3  9d   <none>
catalog    search-ranking            Degraded  accuracy AtRisk  v15-2026-02-19  v16@25  search     FR,BE,ES,+3  9d   AwaitingApproval
catalog    delivery-time-estimation  Unknown   accuracy AtRisk  v15-2026-02-19  <none>  logistics  FR,BE,ES,+3  9d   Stalled: InvalidSpec
""",
}


@pytest.mark.parametrize("width", GOLDEN)
def test_a_narrow_terminal_omits_columns_and_never_truncates_a_name(width):
    rows = [row(product, NOW) for product in products()]
    text = table(HEADER, rows, width=width, dispensable=DISPENSABLE)
    assert text == GOLDEN[width]
    assert max(map(columns, text.splitlines())) <= width


LOG = [
    ("2026-01-01T09:00:00Z", "v3", "margins of the last quarter raise conversion in all markets (by ana, pushed)",
     "Promoted (CanaryNotWorse)", "accuracy +13.3 [1.6, 24.9]"),
    ("now", "v4", "pushed", "AwaitingApproval", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "first"),
    [
        (40, "v3       margins…  Promoted…  accuracy…"),
        (80, "v3       margins of the last q…  Promoted (CanaryNotWo…  accuracy +13.3 [1.6, 2…"),
        (120, "2026-01-01T09:00:00Z  v3       margins of the last quarter raise…  Promoted (CanaryNotWorse)  accuracy +13.3 [1.6, 24.9]"),
    ],
)  # fmt: skip
def test_a_narrow_terminal_truncates_texts_of_the_iteration_log(width, first):
    text = table(ITERATIONS, LOG, width=width, dispensable=("END",), shortened=SHORTENED)
    assert max(map(columns, text.splitlines())) <= width
    assert text.splitlines()[1] == first


def test_output_to_a_pipe_has_all_columns_without_truncation():
    rows = [row(product, NOW) for product in products()]
    assert table(HEADER, rows) == GOLDEN[200]


def test_columns_stay_aligned_with_wide_characters():
    first, second = table(("A", "B"), [("価格", "x")]).splitlines()
    assert columns(second.partition("x")[0]) == columns(first.partition("B")[0])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colours_are_printed_only_to_terminals_that_support_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(Terminal())
    text = table(("STATE",), [("Healthy",)], colours=True)
    assert text == "STATE\n\x1b[32mHealthy\x1b[0m\n"


def test_products_are_filtered_by_team_market_and_state():
    one = products()[1]
    assert facts.matches(one, team="search", market="fr", state="degraded")
    assert facts.matches(one, team="group:default/search")
    member = one["spec"]["team"]["members"][0]["username"]
    assert facts.matches(one, team=member)
    assert not facts.matches(one, team="pricing")
    assert not facts.matches(one, market="JP")
    assert not facts.matches(one, state="Healthy")


def test_the_json_schema_lists_each_kind_of_document():
    path = Path(sluicegate.cli.__file__).parent / "schemas" / "output.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    named = {one["$ref"].rpartition("/")[2] for one in schema["oneOf"]}
    assert named == {kind for kind, of in schema["$defs"].items() if "apiVersion" in of.get("properties", {})}  # fmt: skip


def test_explain_rounds_the_evidence_on_a_candidate():
    status = full_status()
    evidence = status["candidate"]["evidence"][0]
    evidence |= {
        "promote": "41.4479",
        "promoteAt": "1.49787",
        "rollBack": "0",
        "rollBackAt": "4.09434",
    }
    shown = "\n".join(status_lines(DataProduct.parse({**example(), "status": status})))
    text = (
        "evidence for it 41.4, of the 1.5 that are needed; against it 0.0, of the 4.1 that end it"
    )
    assert text in shown


def test_explain_shows_shadow_rows_beside_the_canary_evidence():
    told = list(facts.evidence_lines(full_status()["candidate"]))
    rows = full_status()["candidate"]["shadow"]["evidence"][0]["pairs"]
    (said,) = [line for line in told if "labelled after the training" in line]
    assert said.startswith(f"accuracy on rows labelled after the training: {sum(rows.values()):,}")
    assert f"{rows['onlyCandidateWrong']:,} wrong of the candidate alone" in said
    assert "shadow phase, NoSlot: …" in told


def test_explain_shows_scored_shadow_rows_and_why_the_phase_waits():
    product = DataProduct.parse(example() | {"status": full_status()})
    told = "\n".join(status_lines(product))
    assert "accuracy in the shadow phase: " in told
    assert "for it 1.2, against it -0.4" in told
    assert "    NoSlot: …" in told


def test_status_and_explain_print_the_refresh_time_and_the_end_of_a_degradation():
    status = full_status() | {"lastRefreshTime": "2026-03-01T09:00:00Z"}
    status["decision"] |= {"type": "Alert", "reason": "CommonCause", "message": "3 of 4 turned bad"}
    for state, over in (("Healthy", 2), ("Degraded", 0)):
        body = example() | {"status": status | {"state": state}}
        shown = "\n".join([*lines(body), *status_lines(DataProduct.parse(body))])
        assert shown.count("status refreshed at 2026-03-01T09:00:00Z") == 2
        assert (
            shown.count(
                "3 of 4 turned bad. That is over: the product was healthy at the last refresh of its status."
            )
            == over
        )


def test_status_and_explain_name_the_check_that_holds_a_candidate_and_the_pending_request():
    status = full_status()
    status["candidate"]["restoring"] = False
    body = example() | {"status": status}
    shown = "\n".join([*lines(body), *status_lines(DataProduct.parse(body))])
    assert shown.count("held by ObjectiveNotMet since ") == 2
    assert shown.count("sluicegate.dev/promote=v2/1 is pending until then") == 2


def test_status_names_the_duration_after_which_a_held_rollout_ends():
    status = full_status()
    status["candidate"] |= {
        "restoring": False,
        "phase": "Stepping",
        "firstTrafficTime": "2026-01-01T09:00:00Z",
    }
    status["candidate"]["derived"] = {"maxDurationSeconds": 14_400}
    body = example() | {"status": status}
    assert "ends as Inconclusive 4 h after 2026-01-01T09:00:00Z" in "\n".join(lines(body))
    del status["candidate"]["hold"]
    assert "ends as Inconclusive" not in "\n".join(lines(body))


def test_an_unknown_command_names_similar_ones_and_no_list_of_all(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["explian", "pricing"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "there is no command 'explian'; similar: explain" in told
    assert "rollback" not in told


def test_an_option_before_the_command_is_answered_with_its_place(capsys):
    with pytest.raises(SystemExit):
        main(["-n", "desk", "status", "router"])
    assert "there is no command 'desk'" in (told := capsys.readouterr().err)
    assert "write options after the command" in told
