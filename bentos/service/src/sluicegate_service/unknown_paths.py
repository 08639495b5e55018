"""Counter of the requests that no route of the service answers.

They never reach BentoML, whose metrics make a time series of each path. Without a count a version
that has renamed a route would seem to get no requests. So they are counted like BentoML's, all
under one path: the operator's queries find them with the other 404, and no availability includes
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

METRIC = "bentoml_service_request_total"
ENDPOINT = "<unknown>"
"""Label that no path can have: a path begins with a slash."""


def counter_of(service: str, name: str, version: str) -> Callable[[], None]:
    """Return a function that counts one such request, with the labels of the service's other requests.

    Parameters
    ----------
    service : name of the entry service. name, version : of the bento.
    """
    import prometheus_client  # noqa: PLC0415 - reads the environment when it is imported

    counter = prometheus_client.Counter(
        METRIC,
        "Total number of runner RPC",
        ["endpoint", "service_name", "service_version", "http_response_code", "runner_name"],
        # BentoML registers this name; in files of several processes both are one metric.
        registry=None,
    )
    labels = {
        "endpoint": ENDPOINT,
        "service_name": name,
        "service_version": version,
        "http_response_code": "404",
        "runner_name": service,
    }

    def count() -> None:
        # There is no series before the first one: most services have none.
        counter.labels(**labels).inc()

    return count
