"""The metrics of a contender, as the benchmarks read them."""

from benchmarks.figures import Metrics

EXPOSED = """\
# HELP leader_election_master_status 1 while this replica may write, else 0.
# TYPE leader_election_master_status gauge
leader_election_master_status{name="dataproduct"} 0.0
# TYPE process_start_time_seconds gauge
"""


def test_a_metric_with_a_help_line_and_no_sample_does_not_exist():
    metrics = Metrics.parse(EXPOSED)
    assert metrics.has("leader_election_master_status")
    assert not metrics.has("process_start_time_seconds")
    assert not metrics.has("leader_election")
