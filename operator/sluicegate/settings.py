"""The operator's settings: environment variables, validated all at once, documented by themselves.

A field's name gives the variable: `write_rate` is SLUICEGATE_WRITE_RATE (standard variables keep
their names). Its type defines the accepted values, and the sentence below it the purpose;
`docs/settings.md` is generated from both.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from typing_extensions import override

from sluicegate.errors import InvalidInput, Problem

PREFIX: Final = "SLUICEGATE_"
_NAME: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST: Final = r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?(:[0-9]{1,5})?"
_URL: Final = r"https?://([^\s/?#@]+@)?([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/\S*)?"
_IMAGE: Final = r"[a-z0-9]([-._:/a-zA-Z0-9]*[a-zA-Z0-9])?(@sha256:[a-f0-9]{64})?"


class Word(StrEnum):
    """A choice of words, which may be written in any case."""

    @classmethod
    @override
    def _missing_(cls, value: object) -> Self | None:
        word = str(value).casefold()
        return next((choice for choice in cls if choice.casefold() == word), None)


class ServiceKind(Word):
    """Types of the Services of versions."""

    HEADLESS = "Headless"
    CLUSTER_IP = "ClusterIP"


class GatewayMetrics(Word):
    """Source of the counters for the observed share of a canary."""

    NONE = "None"
    TRAEFIK = "Traefik"


class LogFormat(Word):
    """Format of log lines."""

    JSON = "Json"
    TEXT = "Text"


class LogLevel(Word):
    """Minimum log level."""

    DEBUG = "Debug"
    INFO = "Info"
    WARNING = "Warning"
    ERROR = "Error"


class InvalidSettings(InvalidInput):
    """Environment variables that can't be used; each problem names one."""


@dataclass(frozen=True, slots=True)
class Accepts:
    """Accepted values of a type in words, if its limits don't show them."""

    words: str


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _flag(value: object) -> object:
    return {"true": True, "false": False}.get(str(value).casefold())


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(path)
    return path


Name = Annotated[str, StringConstraints(pattern=f"^({_NAME})$")]
Namespaces = Annotated[
    tuple[Name, ...],
    NoDecode,
    BeforeValidator(_split),
    Accepts("names of namespaces, separated by commas"),
]
Hosts = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=f"^({_HOST})$")], ...],
    NoDecode,
    BeforeValidator(_split),
    Accepts("hosts or host:port, separated by commas"),
]
Image = Annotated[
    str,
    StringConstraints(pattern=f"^({_IMAGE})$"),
    Accepts("an image reference, best by digest"),
]
Url = Annotated[
    str,
    StringConstraints(pattern=f"^{_URL}$"),
    AfterValidator(_without_slash),
    Accepts("a URL that begins with http:// or https://"),
]
File = Annotated[
    Path, AfterValidator(_absolute), WithJsonSchema({"type": "string", "pattern": "^/"})
]
Flag = Annotated[bool, BeforeValidator(_flag), Accepts("true or false")]


class Settings(BaseSettings):
    """Settings of this operator, independent of products. All but two have a working default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=False,
        validate_by_name=True,
        allow_inf_nan=False,
    )

    # ---- place and scope
    namespace: Annotated[Name, Accepts("a namespace's name")] = "sluicegate-system"
    """Namespace of the operator and its Lease."""
    pod_name: Annotated[str, Accepts("a pod's name")] = ""
    """Name of the operator's pod, as part of its identity in the Lease and in events; the host name
    when empty.
    """
    watch_namespaces: Namespaces = ()
    """Namespaces whose products the operator reconciles; all namespaces when empty."""
    excluded_namespaces: Namespaces = ()
    """Namespaces whose products another operator reconciles."""
    default_runtime_image: Image = ""
    """Runtime image of products that name none. Without it, such a product is InvalidSpec."""

    # ---- concurrency
    workers: int = Field(8, ge=1, le=256)
    """Maximum number of concurrent reconciles."""
    write_rate: float = Field(200.0, ge=1, le=10_000)
    """Writes to the API server per second, on average."""
    write_burst: int = Field(400, ge=1, le=10_000)
    """Writes in a burst above the rate."""
    max_concurrent_retrainings: int = Field(2, ge=0, le=1000)
    """Maximum number of concurrent retrainings and Jobs of shadow phases of all products."""
    max_retrainings_per_namespace: int = Field(1, ge=0, le=1000)
    """Maximum number of them in one namespace."""
    max_retraining_seconds: int = Field(86_400, ge=10, le=604_800)
    """Maximum duration of a retraining. A longer spec.retraining.timeoutSeconds is limited to it,
    which the condition RetrainingActive reports.
    """

    # ---- leader election
    lease_name: Annotated[Name, Accepts("an object's name")] = "sluicegate-operator"
    """Name of the Lease that the leading replica holds."""
    lease_duration_seconds: float = Field(15.0, ge=5, le=300)
    """Time for which an unrenewed lease stays valid."""
    lease_renew_seconds: float = Field(10.0, ge=3, le=299)
    """Deadline for renewing the lease before the leader steps down; must be shorter than the lease
    duration.
    """
    lease_retry_seconds: float = Field(2.0, ge=0.1, le=60)
    """Interval at which the leader renews the lease and a standby tries to acquire it; a standby
    checks it at least once a second.
    """

    # ---- intervals
    resync_seconds: float = Field(600.0, ge=30, le=86_400)
    """Interval at which all objects are listed again, a page at a time."""
    numbers_refresh_seconds: float = Field(3600.0, ge=0, le=86_400)
    """Interval at which numbers in status are refreshed without a decision; 0: never."""

    # ---- Prometheus
    prometheus_url: Url = ""
    """Address of Prometheus, Thanos or Mimir. Without it there are no measurements: nothing is
    retrained, and a new model waits for sluicegate.dev/promote=VERSION/TOKEN.
    """
    prometheus_token_file: Annotated[File | None, Accepts("an absolute path")] = None
    """File with a bearer token; it is read for each request."""
    prometheus_ca_file: Annotated[File | None, Accepts("an absolute path")] = None
    """File with the certificates to trust; the system's when unset."""
    prometheus_tenant: Annotated[
        str, StringConstraints(pattern=r"^[-A-Za-z0-9!_.*'()|]{1,150}$"), Accepts("a tenant's name")
    ] = ""
    """Tenant of Mimir, Thanos or Cortex, which is sent in the header X-Scope-OrgID; several are
    separated by |.
    """
    prometheus_headers_file: Annotated[File | None, Accepts("an absolute path")] = None
    """File with further headers, one `Name: value` a line, e.g. of basic authentication; it is read
    for each request.
    """
    prometheus_proxy_url: Url = ""
    """HTTP proxy for queries to Prometheus. HTTPS_PROXY and HTTP_PROXY are not used for them, so that
    no variable changes the source of measurements.
    """
    prometheus_timeout_seconds: float = Field(20.0, ge=1, le=300)
    """Time limit of one query, including its retry."""
    prometheus_concurrency: int = Field(4, ge=1, le=64)
    """Maximum number of concurrent queries."""
    prometheus_products_per_query: int = Field(5000, ge=1, le=100_000)
    """Maximum number of products in one query; with more, the query is split."""
    scrape_interval_seconds: float = Field(30.0, ge=1, le=300)
    """Scrape interval of Prometheus; a block has at least four scrapes."""
    settle_seconds: float = Field(30.0, ge=0, le=600)
    """Time after the end of a block and one scrape until the block is read; at most one block."""
    hour_seconds: int = Field(3600, ge=60, le=3600)
    """Length of an hour for baselines, seasonality, probation, recovery, error budgets and recent
    releases. It is shorter only in demonstrations with short blocks, e.g. 60 with blocks of 5 s.
    """
    gateway_metrics: GatewayMetrics = GatewayMetrics.NONE
    """Source of the request counters for the observed share of a canary and for requests that reach no
    pod. None: the pods' own counters, which also count callers that bypass the gateway.
    """

    # ---- objects
    tenant_account: Annotated[Name, Accepts("a ServiceAccount's name")] = ""
    """ServiceAccount, in the namespace of each product, that the operator impersonates to write the
    product's objects. Without it the operator writes them as its own account.
    """
    service_kind: ServiceKind = ServiceKind.HEADLESS
    """Type of each version's Service. Headless cuts the time to write Services to a third, and needs a
    gateway that routes to endpoints. Existing Services keep their type.
    """
    plain_http_registries: Hosts = ()
    """Registries that training Jobs may push to without TLS; for test clusters."""
    share_dependency_states: Flag = True
    """Whether a product sees the state of products in other namespaces."""
    previews: Flag = False
    """Whether products may have a preview (spec.rollout.preview), by which clients of a listener choose
    the candidate.
    """
    random_ids: Flag = False
    """Whether pods of products have no fixed user, group and fsGroup, because the platform assigns them.
    A change replaces the pods of each product one by one, without a canary.
    """
    show_log_tails: Flag = True
    """Whether status, events and messages have the last lines of the log of a training or pod that
    failed, without credentials. If false, they have the command that shows the log instead.
    """
    reviews_archived: Flag = False
    """Whether sealed reviews are archived (`sluicegate archive`): one beyond spec.review.keep is then
    dropped only once the archive has it as it is.
    """

    # ---- observability
    metrics_port: int = Field(8080, ge=1, le=65_535)
    """Port of /metrics, /healthz and /readyz."""
    tls_cert_file: Annotated[File | None, Accepts("an absolute path")] = None
    """File with the certificate chain, in PEM, by which this port serves HTTPS instead of HTTP. A changed
    file is read at the next connection; while it can't be used, the certificate before stays.
    """
    tls_private_key_file: Annotated[File | None, Accepts("an absolute path")] = None
    """File with the private key of the certificate, in PEM and without a passphrase."""
    log_level: LogLevel = LogLevel.INFO
    """Minimum log level."""
    log_format: LogFormat = LogFormat.JSON
    """Format of log lines."""
    health_loop_lag_seconds: float = Field(2.0, ge=0.1, le=60)
    """Delay of the event loop's timers above which, ten times in a row, /healthz fails."""
    health_watch_age_seconds: float = Field(600.0, ge=330, le=86_400)
    """Time without an event or bookmark on a watch after which /healthz fails; each watch is renewed
    every 300 s.
    """
    product_metrics: int = Field(100, ge=0, le=10_000)
    """Maximum number of products with metrics by name, selected from each namespace in turn by
    spec.priority, then by name; totals cover all products. 0: none.
    """
    traces_endpoint: Url = Field("", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Endpoint of traces, by OTLP over HTTP; no traces when empty. Needs the extra `tracing`.
    OpenTelemetry's other variables apply too.
    """

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the arguments: `parse_settings` reads the environment."""
        return (init_settings,)


def parse_settings(environment: Mapping[str, str], *, refuse_unknown: bool = True) -> Settings:
    """Parse the settings of an environment. An empty variable counts as unset.

    Parameters
    ----------
    environment
        Values by variable.
    refuse_unknown
        Whether an unknown variable that begins with SLUICEGATE_ is a mistake. It is one in the operator's
        container; a person's shell may have variables of other tools.

    Raises
    ------
    InvalidSettings
        A variable is unknown, or a value is invalid or contradicts another; all mistakes are listed.
    """
    names = {variable(name): name for name in Settings.model_fields}
    set_variables = {name: value for name, value in environment.items() if value}
    problems = [*_unknown(set_variables, names)] if refuse_unknown else []
    source = EnvSettingsSource(Settings)
    source.env_vars = {
        name.lower(): set_variables[name].strip() for name in set_variables.keys() & names.keys()
    }
    values = source()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        invalid_fields = {
            str(mistake["loc"][0]) for mistake in error.errors()
        }  # a field, or its alias
        for read, name in names.items():
            if invalid_fields & {read, name}:
                words = accepts(name, Settings.model_fields[name])
                problems.append(Problem(read, f'is "{set_variables[read]}": set it to {words}'))
        settings = Settings(**{key: values[key] for key in values.keys() - invalid_fields})
    problems += _contradictions(settings)
    if problems:
        raise InvalidSettings(sorted(problems, key=str))
    return settings


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    alias = Settings.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else PREFIX + name.upper()


def accepts(name: str, item: FieldInfo) -> str:
    """Return the accepted values of a setting in words."""
    for constraint in item.metadata:
        if isinstance(constraint, Accepts):
            return constraint.words
    kind = item.annotation
    if isinstance(kind, type) and issubclass(kind, Word):
        return f"one of {', '.join(kind)}"
    low = next(constraint.ge for constraint in item.metadata if isinstance(constraint, Ge))
    high = next(constraint.le for constraint in item.metadata if isinstance(constraint, Le))
    if kind is int:
        return f"a whole number from {low} to {high}"
    return f"{'seconds' if name.endswith('_seconds') else 'a number'} from {low:g} to {high:g}"


def _unknown(set_variables: Mapping[str, str], names: Mapping[str, Any]) -> Iterator[Problem]:
    for name in set_variables.keys() - names.keys():
        if name.startswith(PREFIX):
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
    if (settings.tls_cert_file is None) != (settings.tls_private_key_file is None):
        missing, given = "TLS_CERT_FILE", "TLS_PRIVATE_KEY_FILE"
        if settings.tls_private_key_file is None:
            missing, given = given, missing
        yield Problem(
            f"{PREFIX}{missing}",
            f"is not set, and {given} is: set both for HTTPS, or none for HTTP",
        )
    if in_both := sorted({*settings.watch_namespaces} & {*settings.excluded_namespaces}):
        yield Problem(
            f"{PREFIX}EXCLUDED_NAMESPACES",
            f"has {', '.join(in_both)}, which WATCH_NAMESPACES has too: remove it from one of them",
        )


_PAGE: Final = """\
# Settings of the operator

Environment variables of the operator's container; the chart sets them from `settings` and
`extraSettings`. The operator reads them once at its start. If any are invalid, it reports all of them,
each with the variable, the value and the way out, and ends with exit code 2. An unknown variable
that begins with `SLUICEGATE_` is invalid too; the commands `plan` and `explain`, which run in a
shell, ignore it. This page is generated from the code
(`python -m sluicegate.settings > docs/settings.md`), and a test compares them.

| variable | accepts | default | meaning |
|---|---|---|---|
"""


def render_settings_page() -> str:
    """Render docs/settings.md."""
    return _PAGE + "".join(_row(name, item) for name, item in Settings.model_fields.items())


def _row(name: str, item: FieldInfo) -> str:
    default_value = item.default
    if isinstance(default_value, bool):
        default_value = str(default_value).lower()
    elif isinstance(default_value, float):
        default_value = f"{default_value:g}"
    default = f"`{default_value}`" if default_value not in {"", None, ()} else "–"
    meaning = " ".join((item.description or "").split())
    return f"| `{variable(name)}` | {accepts(name, item)} | {default} | {meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(render_settings_page())
