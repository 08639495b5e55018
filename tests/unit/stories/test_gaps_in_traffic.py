"""A drop on a version's second day, where hours without traffic lie between those with traffic."""

import pytest

from tests.support.decisions.scenarios import BLOCK, count, drawn, first, product, run, scenario

HOUR = 12
ACCURACY = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": "0.03"}
SERVED = {0, 1, 14, 15, 16, 17, 28, 29, 30, 31}
"""Hours with traffic before the drop."""
DROP, LAST = 33, 48
"""Hours."""


def history(served):
    """Return blocks of 500 labels; from hour 33 on 14.7 % are wrong instead of 7.8 %."""
    draw = drawn(3)

    def script(index):
        hour = (index - 1) // HOUR
        labels = 500 if hour in served or hour >= DROP else 0
        return {"v1": {"accuracy": count(draw(labels, 0.147 if hour >= DROP else 0.078), labels)}}

    document = scenario(
        script, LAST * HOUR, product=product(ACCURACY), accepted={"accuracy": count(78, 1000)}
    )
    return run(document)


@pytest.mark.parametrize("served", [SERVED, set(range(DROP))], ids=["gaps", "no gaps"])
def test_a_drop_on_the_second_day_is_detected_within_two_hours_with_and_without_gaps(served):
    lines = history(served)
    found = first(lines, "Retrain")["at"] / BLOCK / HOUR
    assert DROP < found <= DROP + 2
    degraded = [line["at"] for line in lines if line["state"] == "Degraded"]
    assert degraded[-1] == LAST * HOUR * BLOCK, "the drop is no season once its hours recur"
