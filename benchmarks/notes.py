"""The words of docs/benchmarks.md; its numbers are measured."""

from __future__ import annotations

from typing import Final

NOTES: Final = {
    "title": """\
# Benchmarks

`make bench` measures everything here again (`python -m benchmarks --help`); this page is written
from `benchmarks.json` by `python -m benchmarks.report`.
""",
    "machines": """\
ProductBlocks on these machines. All of the control plane, the fake nodes, the harness and the contender
share a machine's cores, so figures of one N are of one machine:
""",
    "method": """\
Each contender at each size gets a control plane of its own: etcd, API server, controller-manager
and scheduler are the real ones, pods are played by kwok, which makes them ready at once. The
controllers' own limit of 20 requests a second is lifted, or everybody's figures would be that
limit. What is told was seen from outside: requests in the API server's audit log, memory and CPU
in `/proc`, readiness by a watch. Only loop lag, reconcile time, queue wait and the moment of the
lease are what the operator says of itself.

- **floor**: a bare client that sends the same five writes per product, a status of the same length
  among them, and does nothing else.
- **cold start**: N products are applied at once; it ends when the last says that it is Ready. All
  contenders of a run take turns, and the median of their rounds counts (`readySecondsOfRounds` in
  the JSON has them all): such a machine is a fifth faster in one minute than in another, so ratios
  are told within a run only (`run` and `commit` in the JSON say which it was).
  What comes after it is measured with blocks of a minute, or a run would see none settle, on a
  control plane of its own; what that costs a cold start has a row, too. All products are judged
  once a block: a fifth of the default's length is five times its load. (At N = 5,000 the second
  round of the floor, ours and Argo Rollouts is a run of its own, begun two hours after the first;
  of its figures only the seconds until all were ready are told.)
- **steady**: nothing changes, and blocks of measurements settle.
- **restart**: the process is stopped by SIGTERM and started again. A peer doesn't say when it
  leads, so of it there is what it asked within 20 s; of one that doesn't come to rest, within 120 s
  and 20 ms for each product.
- **promotions**: N/5 products, at most 200, get a second version at the same moment. The ideal is
  the sum of the waits that their objects ask for: warm-up and dwell of three steps (111 s for
  ours), and until two blocks have shown that nothing asks the old version's pods any more (15 s).
  A second ratio adds what the floor takes to start as many new products beside the N (**starts**):
  where the control plane is slow, no controller has the second versions' pods sooner. That one is
  the bar at every size; the first depends on the machine, and is one up to N = 1,000.
  The peers' are promoted before their old pods go. Blocks of these products have 5 s, the shortest
  there is, so the hour that is kept of both versions has 720 of them instead of 12: nearly all of
  the memory that the wave adds (docs/operations.md has the rule).
- **degradations**: the predictions of as many products become wrong at the same moment. Their
  training Jobs end at once and bring nothing, so each is an attempt that failed and its slot is
  free again.
- **common cause**: the same for two fifths of all products, which no model can be to blame for.
""",
    "growth": """\
"Grows as" is a fitted exponent: the slope of the logarithms. One near 1 is in proportion to the
number of products, one near 0 doesn't depend on it. Only what one machine measured is fitted: that
of most sizes.
""",
}
