"""Texts of docs/benchmarks.md; its numbers are measured."""

from __future__ import annotations

from typing import Final

NOTES: Final = {
    "title": """\
# Benchmarks

`make bench` repeats all measurements (`python -m benchmarks --help`); `python -m benchmarks.report`
generates this page from `benchmarks.json`.
""",
    "machines": """\
These machines were used. The control plane, the fake nodes, the harness and the contender share the
cores of one machine, and all figures of one N come from the same machine:
""",
    "method": """\
Each contender at each size has its own control plane with real etcd, API server, controller-manager
and scheduler. kwok simulates the pods and makes them ready at once. The controllers' default limit
of 20 requests a second is removed; otherwise all figures would show that limit. Measurements are
external: requests in the API server's audit log, memory and CPU in `/proc`, readiness by a watch.
Only loop lag, reconcile time, queue wait and the time of the lease come from the operator's own
metrics.

- **floor**: the baseline client. It sends the same five writes per product, including a status of
  the same length, and does nothing else.
- **cold start**: N products are applied at once; it ends when the last one is Ready. The
  contenders of a run take turns, and the median of the rounds counts (`readySecondsOfRounds` in
  the JSON has all rounds): the speed of such a machine varies by a fifth from minute to minute, so
  ratios are within one run only (`run` and `commit` in the JSON identify it).
  The other scenarios have blocks of a minute, so that blocks complete during a run, and their own
  control plane; the cost of that for a cold start has its own row. Each block evaluates all
  products: a fifth of the default length is five times the load. (At N = 5,000 the second
  round of the baseline client, sluicegate and Argo Rollouts is a separate run, started two hours
  after the first; only the seconds until all products were ready come from it.)
- **steady**: nothing changes, and blocks of measurements complete.
- **restart**: SIGTERM stops the process, and it is started again. A peer doesn't report when it
  leads, so its row counts the requests within 20 s; for one that doesn't become idle, within 120 s
  and 20 ms for each product.
- **promotions**: N/5 products, at most 200, get a second version at the same moment. The ideal is
  the sum of the waits in their specs: warm-up and dwell of three steps (111 s for
  sluicegate), and two blocks without requests to the old version's pods (15 s).
  A second ratio adds the time in which the baseline client starts as many new products beside the
  N (**starts**): with a slow control plane, no controller gets the second versions' pods sooner.
  This ratio is the bar at every size; the first one depends on the machine, and is a bar up to
  N = 1,000. The peers' promotions end before their old pods are deleted. Blocks of these products
  have 5 s, the minimum, so the hour of blocks that is kept of both versions has 720 blocks instead
  of 12: this is almost all of the memory that the wave adds (docs/operations.md has the rule).
- **degradations**: the predictions of as many products become wrong at the same moment. Their
  training Jobs end at once without a result, so each attempt fails and releases its slot.
- **common cause**: the same for two fifths of all products, so that no model can be the cause.
""",
    "growth": """\
"Grows as" is a fitted exponent, the slope of the logarithms. With an exponent near 1 the figure is
proportional to the number of products, with one near 0 it does not depend on it. The fit uses the
figures of one machine: the one with most sizes.
""",
}
