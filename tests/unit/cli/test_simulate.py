"""`sluicegate simulate` answers in the keys it promises, and reports what is wrong with its input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.cli.trials import simulate as command
from tests.support.decisions.canary_products import INDICATORS

pytestmark = pytest.mark.slow

KEYS = {"promoted", "rolledBack", "inconclusive", "medianMinutes", "p90Minutes", "runs"}


@pytest.fixture
def product(tmp_path):
    path = tmp_path / "product.yaml"
    document = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": "search"},
        "spec": {
            "owner": "group:default/catalog",
            "model": {
                "bento": {
                    "image": f"registry.example/m@sha256:{'0' * 64}",
                    "version": "v1",
                    "service": "S",
                }
            },
            "slos": [
                {
                    "name": "availability",
                    "indicator": INDICATORS["availability"],
                    "objective": "0.99",
                },
                {"name": "accuracy", "indicator": INDICATORS["accuracy"], "maxDrop": "0.1"},
            ],
        },
    }
    path.write_text(yaml.safe_dump(document))
    return str(path)


def _simulate(product, *options):
    return main(["simulate", product, "--requests-per-minute", "600", "--runs", "60", *options])


def test_the_json_of_simulate_has_the_documented_keys_and_shares_that_add_up(product, capsys):
    options = ["--stable-bad", "availability=0.005", "--candidate-bad", "availability=0.005"]
    assert _simulate(product, *options, "--output", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.keys() >= KEYS
    assert answer["promoted"] + answer["rolledBack"] + answer["inconclusive"] == pytest.approx(
        1, abs=1e-5
    )
    assert answer["runs"] == 60
    assert answer["standardErrors"].keys() == {"promoted", "rolledBack", "inconclusive"}
    assert answer["degradation"]["availability"]["falseAlarmsPerYear"] >= 0


@pytest.mark.heavy
def test_simulate_with_the_same_seed_gives_the_same_result(product, capsys):
    answers = []
    rates = ["--stable-bad", "availability=0.02", "--candidate-bad", "availability=0.026"]
    for seed in ("7", "7", "8"):
        assert _simulate(product, *rates, "--seed", seed, "--no-degradation") == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def test_the_table_of_simulate_has_the_share_of_each_outcome_with_its_error(product, capsys):
    assert _simulate(product, "--no-degradation") == 0
    headings, shares = capsys.readouterr().out.splitlines()[:2]
    assert headings.split("  ")[0] == "promoted"
    assert shares.count("±") == 3


def test_simulate_has_no_option_to_compare_other_tools(product, capsys):
    with pytest.raises(SystemExit):
        _simulate(product, "--compare")
    assert "--compare" in capsys.readouterr().err


def test_simulate_names_an_unknown_slo_and_the_known_ones(product, capsys):
    assert _simulate(product, "--stable-bad", "conversion=0.1") == 2
    error = capsys.readouterr().err
    assert '--stable-bad: names "conversion"' in error
    assert "availability, accuracy" in error


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--stable-bad", "availability"),
        ("--stable-bad", "availability=2"),
        ("--burst-correlation", "1.5"),
        ("--runs", "0"),
        ("--requests-per-minute", "-3"),
    ],
)
def test_simulate_names_the_option_of_an_invalid_value(product, capsys, option, value):
    with pytest.raises(SystemExit) as ended:
        _simulate(product, f"{option}={value}")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert option in error
    assert value.rpartition("=")[2] in error


def test_simulate_of_a_missing_file_exits_with_2(capsys):
    assert _simulate("absent.yaml") == 2
    assert "absent.yaml" in capsys.readouterr().err


def test_simulate_without_numpy_prints_the_extra_to_install(product, capsys, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert _simulate(product) == 2
    assert "pip install 'sluicegate[simulate]'" in capsys.readouterr().err


def test_commands_without_a_simulation_import_no_numpy():
    """The extra is left out where no simulation runs: plan, explain and replay work without it."""
    modules = "cli.trials.plan, sluicegate.cli.trials.explain, sluicegate.cli.trials.replay, sluicegate.cli.trials.simulate"
    code = f"import sys, sluicegate.{modules}; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_simulate_names_an_slo_without_enough_events_in_the_duration(product, capsys):
    rates = ["--labels-per-minute", "1", "--stable-bad", "accuracy=0.1", "--no-degradation"]
    rates += ["--duration-minutes", "240"]
    assert _simulate(product, *rates) == 0
    told = capsys.readouterr().out
    assert "accuracy is not required for a promotion" in told
    assert "; leave out --duration-minutes, or set canaryEvidence: Required" in told
    assert _simulate(product, *rates, "--output", "json") == 0
    slos = json.loads(capsys.readouterr().out)["slos"]
    assert slos["availability"]["mustSpeak"]
    assert not slos["accuracy"]["mustSpeak"]


def test_simulate_without_max_duration_lasts_until_the_labels_arrived(product, capsys):
    rates = ["--labels-per-minute", "1", "--stable-bad", "accuracy=0.1", "--no-degradation"]
    assert _simulate(product, *rates, "--candidate-bad", "accuracy=0.2", "--output", "json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["slos"]["accuracy"]["mustSpeak"]
    assert answer["maxDurationSeconds"] > 14_400
    assert answer["promoted"] <= 0.1, "worse by the margin of five points and five more"
    assert _simulate(product, *rates, "--labels-per-minute", "0") == 0
    told = capsys.readouterr().out
    assert "accuracy is not required" in told, "no label will ever come"
    assert "may be promoted; set canaryEvidence: Required" in told, "no duration is set"


def test_simulate_derives_the_steps_that_the_spec_leaves_out_from_the_requests(product, capsys):
    rate = ["--requests-per-minute", "20", "--no-degradation"]
    assert _simulate(product, "--no-degradation", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == [5, 25, 50]
    assert _simulate(product, *rate, "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["steps"] == [25, 50]
    assert _simulate(product, *rate) == 0
    assert "a rollout has steps of 25, 50 % and lasts" in capsys.readouterr().out


def test_simulate_names_an_slo_by_which_most_equal_candidates_are_inconclusive(product, capsys):
    rates = ["--labels-per-minute", "0.01", "--stable-bad", "accuracy=0.3", "--no-degradation"]
    assert _simulate(product, *rates, "--candidate-bad", "accuracy=0.3") == 0
    output = capsys.readouterr().out
    assert "accuracy is required for a promotion, and an equal candidate has enough" in output
    assert "so most end as inconclusive; set canaryEvidence: PostPromotion" in output


def test_simulate_prints_whether_the_duration_leaves_out_time_without_requests(product, capsys):
    rates = ["--requests-per-minute", "2", "--no-degradation"]
    assert _simulate(product, *rates) == 0
    assert "at most without time in which no request comes, 14 d with it" in capsys.readouterr().out
    assert _simulate(product, *rates, "--duration-minutes", "240", "--output", "json") == 0
    assert not json.loads(capsys.readouterr().out)["leavesOutSilence"]


def test_slos_of_consumers_are_simulated_if_their_products_follow_in_the_file(product, capsys):
    path = Path(product)
    document = yaml.safe_load(path.read_text())
    asks = [{"name": "search", "evidence": "Required"}]
    conversion = {"name": "conversion", "indicator": {"events": {}}, "maxDrop": "0.05"}
    consumer = document | {
        "metadata": {"name": "ranking"},
        "spec": document["spec"] | {"dependsOn": asks, "slos": [conversion]},
    }
    listener = [{"name": "web"}]
    document["spec"]["route"] = {"hostnames": ["a.example"], "parentRefs": listener}
    document["spec"]["rollout"] = {"consumers": {"names": ["ranking"], "parentRefs": listener}}
    path.write_text(yaml.safe_dump(document))
    rates = ["--consumer-outcomes-per-minute", "60", "--no-degradation"]
    assert _simulate(product, *rates) == 0
    assert (
        "SLOs of default/ranking aren't simulated: add its DataProduct" in capsys.readouterr().out
    )
    path.write_text(yaml.safe_dump_all([document, consumer]))
    case = "default/ranking/conversion"
    rates += ["--stable-bad", f"{case}=0.2", "--candidate-bad", f"{case}=0.3", "--output", "json"]
    assert _simulate(product, *rates) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["slos"][case]["mustSpeak"]
    assert answer["rolledBack"] > 0.9
