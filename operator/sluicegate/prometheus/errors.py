"""What can go wrong between us and Prometheus, in our own words.

Everything a library raises is converted here once. The operator treats each of these as
"cannot measure": never as zero, never as good.
"""


class PrometheusError(Exception):
    """No usable answer to a query."""


class PrometheusUnavailable(PrometheusError):  # noqa: N818  # the reason people see
    """Prometheus didn't answer: refused, timed out, 5xx, or too many at once. Worth a retry."""


class PartialAnswer(PrometheusUnavailable):
    """Prometheus answered with warnings: some of the data is missing, so no count holds."""


class MalformedAnswer(PrometheusUnavailable):
    """What answered isn't Prometheus, or a broken one: not JSON, the wrong type, too large.

    Or Prometheus answers with a row that can't be read, or with more than is read into memory:
    then it is about the query, see `QueryRejected`.

    Attributes
    ----------
    oversized
        The answer is too large: a part of it may not be.
    """

    def __init__(self, text: str, *, oversized: bool = False) -> None:
        super().__init__(text)
        self.oversized = oversized


class QueryRejected(PrometheusError):  # noqa: N818  # says what happened, as the others do
    """Prometheus refuses the query (4xx): wrong address, wrong credentials, or series of somebody.

    If it answers other queries, the series of this one are the cause.
    """
