"""The operator's settings: environment variables, validated all at once, documented by themselves.

A field's name gives the variable: `write_rate` is SLUICEGATE_WRITE_RATE (one that others named
keeps their name). What a field accepts
stands beside it; `docs/settings.md` is written from the same fields.
"""
# ruff: noqa: RUF009 - every default is a dataclasses.field, made by the functions below

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from sluicegate.errors import InvalidInput, Problem

PREFIX: Final = "SLUICEGATE_"
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST: Final = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?")
_IMAGE: Final = re.compile(
    r"[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?(@sha256:[a-f0-9]{64})?", flags=re.ASCII
)


class ServiceKind(StrEnum):
    """What Services of versions are."""

    HEADLESS = "Headless"
    CLUSTER_IP = "ClusterIP"


class GatewayMetrics(StrEnum):
    """Whose counters tell the observed share of a canary."""

    NONE = "None"
    TRAEFIK = "Traefik"


class LogFormat(StrEnum):
    """How log lines look."""

    JSON = "Json"
    TEXT = "Text"


class LogLevel(StrEnum):
    """What is worth a log line."""

    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class InvalidSettings(InvalidInput):
    """Environment variables that can't be used; each problem names one."""


Parse = Callable[[str], Any]


def setting(text: str, parse: Parse, default: Any, accepts: str, *, variable: str = "") -> Any:
    """A field with its sentence, its parser and what the parser accepts, in words.

    `variable` is for a variable that others named.
    """
    metadata = {"text": text, "parse": parse, "accepts": accepts, "variable": variable}
    return field(default=default, metadata=metadata)


def _number(kind: type[int] | type[float], low: float, high: float) -> Parse:
    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def _whole(default: int, text: str, *, low: int, high: int) -> Any:
    return setting(text, _number(int, low, high), default, f"a whole number from {low} to {high}")


def _seconds(default: float, text: str, *, low: float, high: float) -> Any:
    accepts = f"seconds from {low:g} to {high:g}"
    return setting(text, _number(float, low, high), float(default), accepts)


def _one_of(default: StrEnum, text: str) -> Any:
    kind = type(default)
    words = {str(word).casefold(): word for word in kind}
    return setting(
        text, lambda given: words[given.casefold()], default, f"one of {', '.join(kind)}"
    )


def _flag(default: bool, text: str) -> Any:  # noqa: FBT001 - the default of a flag is a flag
    words = {"true": True, "false": False}
    return setting(text, lambda given: words[given.casefold()], default, "true or false")


def _matching(pattern: re.Pattern[str]) -> Parse:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(text)
        return text

    return parse


def _namespaces(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    return tuple(_matching(_NAMESPACE)(name) for name in names if name)


def _hosts(text: str) -> tuple[str, ...]:
    hosts = [host.strip() for host in text.split(",")]
    return tuple(_matching(_HOST)(host) for host in hosts if host)


def _url(text: str) -> str:
    if urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname:
        raise ValueError(text)
    return text.rstrip("/")


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(text)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this operator runs, whatever the products say. All have a working default but two."""

    # ---- where it runs, and for whom
    namespace: str = setting(
        "Namespace of the operator; its Lease lies there.",
        _matching(_NAMESPACE), "sluicegate-system", "a namespace's name",
    )  # fmt: skip
    pod_name: str = setting(
        "Name of its pod, part of its identity in the Lease and the reporter of its events;"
        " the host's name when empty.",
        str, "", "a pod's name",
    )  # fmt: skip
    watch_namespaces: tuple[str, ...] = setting(
        "Namespaces whose products it serves; all of the cluster when empty.",
        _namespaces, (), "names of namespaces, separated by commas",
    )  # fmt: skip
    excluded_namespaces: tuple[str, ...] = setting(
        "Namespaces whose products it leaves to another operator.",
        _namespaces, (), "names of namespaces, separated by commas",
    )  # fmt: skip
    default_runtime_image: str = setting(
        "Runtime image of products that name none. Without it such a product is InvalidSpec.",
        _matching(_IMAGE), "", "an image reference, best by digest",
    )  # fmt: skip

    # ---- how much at once
    workers: int = _whole(8, "Products reconciled at the same time.", low=1, high=256)
    write_rate: float = setting(
        "Writes to the API server per second, in the long run.",
        _number(float, 1, 10_000), 200.0, "a number from 1 to 10000",
    )  # fmt: skip
    write_burst: int = _whole(400, "Writes at once, before the rate holds.", low=1, high=10_000)
    max_concurrent_retrainings: int = _whole(
        2, "Retrainings at the same time, of all products.", low=0, high=1000
    )
    max_retrainings_per_namespace: int = _whole(
        1, "Retrainings at the same time in one namespace.", low=0, high=1000
    )
    max_retraining_seconds: int = _whole(
        86_400, "The most that a retraining may take; a longer spec.retraining.timeoutSeconds is"
        " cut to it, and the product's status says so.",
        low=10, high=604_800,
    )  # fmt: skip

    # ---- who leads
    lease_name: str = setting(
        "Name of the Lease that the leading replica holds.",
        _matching(_NAMESPACE), "sluicegate-operator", "an object's name",
    )  # fmt: skip
    lease_duration_seconds: float = _seconds(
        15, "How long a lease holds that isn't renewed.", low=5, high=300
    )
    lease_renew_seconds: float = _seconds(
        10, "When the leader gives up that can't renew; below the duration.", low=3, high=299
    )
    lease_retry_seconds: float = _seconds(
        2,
        "How often the lease is renewed or tried for; a standby looks each second at least.",
        low=0.1,
        high=60,
    )

    # ---- how often it looks
    resync_seconds: float = _seconds(
        600, "How often all objects are listed anew, a page at a time.", low=30, high=86_400
    )
    numbers_refresh_seconds: float = _seconds(
        3600, "How often numbers in status are refreshed without a decision; 0: never.",
        low=0, high=86_400,
    )  # fmt: skip

    # ---- Prometheus
    prometheus_url: str = setting(
        "Address of Prometheus, Thanos or Mimir. Without it nothing is measured, so nothing"
        " is retrained and no canary promoted.",
        _url, "", "a URL that begins with http:// or https://",
    )  # fmt: skip
    prometheus_token_file: Path | None = setting(
        "File with a bearer token, read anew for each request.", _file, None, "an absolute path"
    )
    prometheus_ca_file: Path | None = setting(
        "File with the certificates to trust; the system's when unset.",
        _file, None, "an absolute path",
    )  # fmt: skip
    prometheus_timeout_seconds: float = _seconds(
        20, "How long one query may take, retry included.", low=1, high=300
    )
    prometheus_concurrency: int = _whole(4, "Queries at the same time.", low=1, high=64)
    prometheus_products_per_query: int = _whole(
        5_000, "Above this many products a query is split.", low=1, high=100_000
    )
    scrape_interval_seconds: float = _seconds(
        30, "How often Prometheus scrapes; a block has at least four scrapes.", low=1, high=300
    )
    settle_seconds: float = _seconds(
        30, "How long after its end and one scrape a block may be read; never more than a block.",
        low=0, high=600,
    )  # fmt: skip
    hour_seconds: int = _whole(
        3_600, "Length of an hour, for baselines, seasons and recent releases: less only where"
        " blocks are seconds long, say 60 at blocks of 5 s, so that a demonstration sees days.",
        low=60, high=3_600,
    )  # fmt: skip
    gateway_metrics: GatewayMetrics = _one_of(
        GatewayMetrics.NONE,
        "Whose request counters tell the observed share of a canary, and what found no pod;"
        " None: the pods' own, which also see callers that go past the gateway.",
    )

    # ---- what it makes
    service_kind: ServiceKind = _one_of(
        ServiceKind.HEADLESS,
        "What the Services of versions are. Headless costs a third of the writing time, where"
        " the gateway takes endpoints. Those that are there keep their kind, which can't change.",
    )
    plain_http_registries: tuple[str, ...] = setting(
        "Registries that training Jobs may push to without TLS; for clusters of one's own.",
        _hosts, (), "hosts or host:port, separated by commas",
    )  # fmt: skip
    share_dependency_states: bool = _flag(
        default=True, text="Whether a product sees the state of products of other namespaces."
    )

    # ---- what it tells
    metrics_port: int = _whole(8080, "Port of /metrics, /healthz and /readyz.", low=1, high=65_535)
    log_level: LogLevel = _one_of(LogLevel.INFO, "What is worth a log line.")
    log_format: LogFormat = _one_of(LogFormat.JSON, "How log lines look.")
    health_loop_lag_seconds: float = _seconds(
        2, "Above this, ten times in a row, /healthz says that the event loop is stuck.",
        low=0.1, high=60,
    )  # fmt: skip
    health_watch_age_seconds: float = _seconds(
        600, "/healthz says that a watch is dead after so long without a sign of life; each is"
        " renewed every 300 s.",
        low=330, high=86_400,
    )  # fmt: skip
    product_metrics: int = _whole(
        100, "Products that get metrics of their own: by turns of the namespaces, in each the most"
        " pressing first (spec.priority, then name); totals cover all of them. 0: none.",
        low=0, high=10_000,
    )  # fmt: skip
    traces_endpoint: str = setting(
        "Where traces go, by OTLP over HTTP; none are made when empty. Needs the extra"
        " `tracing`; OpenTelemetry's other variables hold too.",
        _url, "", "a URL that begins with http:// or https://",
        variable="OTEL_EXPORTER_OTLP_ENDPOINT",
    )  # fmt: skip

    @property
    def lease_identity_prefix(self) -> str:
        """What the identity in the Lease begins with."""
        return self.pod_name or "sluicegate"


def parse_settings(environment: Mapping[str, str], *, refuse_unknown: bool = True) -> Settings:
    """The settings in an environment. An empty variable counts as unset.

    Parameters
    ----------
    environment
        Values by variable.
    refuse_unknown
        Whether a variable that begins with SLUICEGATE_ and is no setting is a mistake. It is one
        in the operator's container; a person's shell also holds variables of other tools.

    Raises
    ------
    InvalidSettings
        With all mistakes: unknown variables, values of no use, or that don't go together.
    """
    known = {variable(item): item for item in fields(Settings)}
    given = {
        name: value
        for name, value in environment.items()
        if value and (name.startswith(PREFIX) or name in known)
    }
    problems = [*_unknown(given, known)] if refuse_unknown else []
    values: dict[str, Any] = {}
    for name in given.keys() & known.keys():
        item = known[name]
        try:
            values[item.name] = item.metadata["parse"](given[name].strip())
        except (ValueError, KeyError):
            accepts = item.metadata["accepts"]
            problems.append(Problem(name, f'is "{given[name]}": set it to {accepts}'))
    settings = Settings(**values)
    problems += _contradictions(settings)
    if problems:
        raise InvalidSettings(sorted(problems, key=str))
    return settings


def variable(item: "Field[Any]") -> str:
    """The environment variable of a field."""
    return str(item.metadata["variable"]) or PREFIX + item.name.upper()


def _unknown(given: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[Problem]:
    for name in given.keys() - known.keys():
        yield Problem(name, "is no setting: correct its name or remove it (docs/settings.md)")


def _contradictions(settings: Settings) -> Iterator[Problem]:
    if not (
        settings.lease_retry_seconds + 3
        < settings.lease_renew_seconds
        <= settings.lease_duration_seconds - 5
    ):
        yield Problem(
            f"{PREFIX}LEASE_RENEW_SECONDS",
            f"is {settings.lease_renew_seconds:g}: set it above LEASE_RETRY_SECONDS + 3"
            f" ({settings.lease_retry_seconds + 3:g}) and at least 5 s below LEASE_DURATION_SECONDS"
            f" ({settings.lease_duration_seconds:g}), the margin that each write needs,"
            " or two replicas could act at once",
        )
    if settings.write_burst < settings.write_rate:
        yield Problem(
            f"{PREFIX}WRITE_BURST",
            f"is {settings.write_burst}: set it to at least WRITE_RATE ({settings.write_rate:g})",
        )
    if settings.max_retrainings_per_namespace > settings.max_concurrent_retrainings:
        yield Problem(
            f"{PREFIX}MAX_RETRAININGS_PER_NAMESPACE",
            f"is {settings.max_retrainings_per_namespace}: set it to at most"
            f" MAX_CONCURRENT_RETRAININGS ({settings.max_concurrent_retrainings})",
        )


_PAGE: Final = """\
# Settings of the operator

Environment variables of the operator's container; the chart sets them from `settings` and
`extraSettings`. All are read once at start; if one can't be used, the operator says all that is
wrong, each with the variable, the value and the way out, and ends with exit code 2. An unknown
variable that begins with `SLUICEGATE_` is a mistake too; the commands `plan` and `explain`, which
run in a shell, ignore it. This page is written from the code
(`python -m sluicegate.settings > docs/settings.md`), and a test compares them.

| variable | accepts | default | meaning |
|---|---|---|---|
"""


def render_settings_page() -> str:
    """docs/settings.md."""
    return _PAGE + "".join(f"{_row(item)}\n" for item in fields(Settings))


def _row(item: "Field[Any]") -> str:
    metadata = cast("Mapping[str, str]", item.metadata)
    shown = item.default
    if isinstance(shown, bool):
        shown = str(shown).lower()
    elif isinstance(shown, float):
        shown = f"{shown:g}"
    default = f"`{shown}`" if shown not in {"", None, ()} else "–"
    return f"| `{variable(item)}` | {metadata['accepts']} | {default} | {metadata['text']} |"


if __name__ == "__main__":
    sys.stdout.write(render_settings_page())
