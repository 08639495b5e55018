"""The configuration file of `sluicegate notify`: sinks, routes, digests, times.

Addresses with secrets are in files of their own (`urlFile`), which are mounted and read at each
attempt, so that a new Secret needs no restart. No address of a sink is logged.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from sluicegate.api.product_info import Priority
from sluicegate.errors import InvalidInput, Problem, unreadable
from sluicegate.notify.catalogue import Kind, Urgency

SinkName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]


def _http_url(address: str) -> str:
    url_parts = urlsplit(address)
    if url_parts.scheme not in {"http", "https"} or not url_parts.hostname:
        raise ValueError("must begin with http:// or https://")
    if url_parts.username or url_parts.password:
        raise ValueError("must not hold a user or a password: put it into a file (urlFile)")
    return address


def _zone(zone_name: str) -> str:
    try:
        ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("must be a name of the IANA database, e.g. Europe/Paris") from error
    return zone_name


HttpUrl = Annotated[
    str,
    AfterValidator(_http_url),
    WithJsonSchema({"type": "string", "pattern": r"^[hH][tT][tT][pP][sS]?://[^/?#@]+([/?#].*)?$"}),
]
TimeZone = Annotated[
    str,
    AfterValidator(_zone),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][-+_A-Za-z0-9]*(/[-+_A-Za-z0-9]+)*$"}),
]


class FilePart(BaseModel):
    """A part of the file: frozen, camelCase, without unknown fields."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        extra="forbid",
    )


class Mode(StrEnum):
    """Form of a CloudEvent in a request."""

    STRUCTURED = "Structured"
    BINARY = "Binary"


class HttpSink(FilePart):
    """Common fields of sinks with HTTP."""

    url: HttpUrl | None = None
    """Address of the receiver."""
    url_file: Path | None = None
    """File that holds the address, when it is a secret."""
    token_file: Path | None = None
    """File that holds a bearer token."""
    ca_file: Path | None = None
    """File with the certificates to trust; the system's when unset."""

    def address(self) -> str:
        """Return the address; OSError or ValueError if its file can't be used."""
        if self.url is not None:
            return self.url
        assert self.url_file is not None
        text = self.url_file.read_text(encoding="utf-8").strip()
        if urlsplit(text).scheme not in {"http", "https"}:
            raise ValueError("the file of the address holds no http:// or https:// URL")
        return text


class CloudEventsSink(HttpSink):
    """A receiver of CloudEvents 1.0 by HTTP."""

    kind: Literal["CloudEvents"]
    mode: Mode = Mode.STRUCTURED
    """Structured: the whole event is the body. Binary: its attributes are headers."""


class AlertmanagerSink(HttpSink):
    """An Alertmanager, which receives the states that last, by its API v2."""

    kind: Literal["Alertmanager"]


class AppriseSink(FilePart):
    """Chat or mail, by an address of Apprise."""

    kind: Literal["Apprise"]
    url_file: Path
    """File with one address of Apprise a line, e.g. slack://…, mailtos://…, workflows://…."""


AnySink = Annotated[CloudEventsSink | AlertmanagerSink | AppriseSink, Field(discriminator="kind")]


class When(FilePart):
    """Condition of a route; the message must match each list that is set."""

    team: tuple[str, ...] = ()
    """Values of spec.owner."""
    namespace: tuple[str, ...] = ()
    """Namespaces."""
    product: tuple[str, ...] = ()
    """Names of products."""
    market: tuple[str, ...] = ()
    """Markets, of which the product has at least one."""
    priority: tuple[Priority, ...] = ()
    """Values of spec.priority."""
    urgency: tuple[Urgency, ...] = ()
    """Urgencies of the catalogue."""
    type: tuple[Kind, ...] = ()
    """Types of the catalogue, e.g. promoted."""
    reason: tuple[str, ...] = ()
    """Reasons, e.g. ModelDecay."""


class RoutingRule(FilePart):
    """A route of messages to sinks. The first one that matches is used, unless it has `continue`."""

    when: When = When()
    """The messages that it is for; all when left out."""
    to: Annotated[tuple[SinkName, ...], Field(min_length=1)]
    """Names of sinks."""
    go_on: Annotated[bool, Field(alias="continue")] = False
    """Whether the routes after it are tried as well."""


class DigestPlan(FilePart):
    """A summary once a day."""

    name: SinkName = "daily"
    """Name of the digest; unique."""
    at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """Time of day, e.g. 08:30."""
    time_zone: TimeZone = "UTC"
    """Time zone of the time, by its name in the IANA database."""
    when: When = When()
    """The products that it is about; all when left out. Of a product only, not of a transition."""
    to: Annotated[tuple[SinkName, ...], Field(min_length=1)]
    """Names of sinks."""


class Configuration(FilePart):
    """The whole file."""

    cluster: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-._A-Za-z0-9]{0,62})$")] = (
        "cluster"
    )
    """Name of the cluster in messages and in the source of CloudEvents."""
    portfolio_url: HttpUrl | None = None
    """Address of `sluicegate web`, for links."""
    group_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    """Time for which transitions are collected before they are sent."""
    group_products: Annotated[int, Field(ge=2, le=1000)] = 3
    """Number of products with the same transition in that time that become one message."""
    fold_seconds: Annotated[float, Field(ge=0, le=86_400)] = 600
    """Time in which the same transition of a product is sent once."""
    drop_after_seconds: Annotated[float, Field(ge=60, le=604_800)] = 86_400
    """Age at which an undelivered message is dropped."""
    sinks: Annotated[dict[SinkName, AnySink], Field(min_length=1)]
    """Receivers by name."""
    routes: Annotated[tuple[RoutingRule, ...], Field(min_length=1)]
    """Which messages go to which sinks."""
    digests: tuple[DigestPlan, ...] = ()
    """Summaries once a day."""

    @property
    def sinks_without_messages(self) -> tuple[str, ...]:
        """Return the names of the sinks that no route and no digest names."""
        lists = [*(route.to for route in self.routes), *(digest.to for digest in self.digests)]
        named_sinks = {name for names in lists for name in names}
        return tuple(name for name in self.sinks if name not in named_sinks)


class InvalidConfiguration(InvalidInput):
    """The file can't be used; each problem names a field and the way out."""


_WORDS: Final = {
    "missing": "is missing: add it",
    "extra_forbidden": "is no field: correct its name or remove it (docs/notifications.md)",
}


def load(path: Path) -> Configuration:
    """Load the configuration of a file.

    Raises
    ------
    InvalidConfiguration
        The file can't be read, or has mistakes, all of which are listed.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(unreadable(str(path), error).problems) from error
    except yaml.YAMLError as error:
        raise InvalidConfiguration([Problem(str(path), f"is no YAML: {error}")]) from error
    if not isinstance(document, dict):
        text = "holds no configuration: write a mapping with sinks and routes"
        raise InvalidConfiguration([Problem(str(path), text)])
    return parse(document)


def parse(document: Any) -> Configuration:
    """Parse a configuration from a document; InvalidConfiguration as in `load`."""
    try:
        configuration = Configuration.model_validate(document)
    except ValidationError as error:
        raise InvalidConfiguration(_problems(error)) from error
    if problems := [*_configuration_contradictions(configuration)]:
        raise InvalidConfiguration(problems)
    return configuration


def _problems(error: ValidationError) -> Iterator[Problem]:
    errors = error.errors(include_url=False, include_input=False)
    for item in errors:
        has_inner = any(len(other_error["loc"]) > len(item["loc"]) for other_error in errors
                    if other_error["loc"][: len(item["loc"])] == item["loc"])  # fmt: skip
        if item["type"] == "too_short" and has_inner:
            continue  # the errors of its items are reported instead
        # The third part of a sink's location is its kind, by which pydantic selects the type.
        parts = item["loc"][:2] + item["loc"][3:] if item["loc"][:1] == ("sinks",) else item["loc"]
        path = ".".join(str(part) for part in parts)
        words = _WORDS.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        yield Problem(path, words[0].lower() + words[1:])


def _configuration_contradictions(configuration: Configuration) -> Iterator[Problem]:
    sinks = configuration.sinks
    sinks_by_place: Mapping[str, tuple[str, ...]] = {
        **{
            f"routes.{route_index}.to": route.to
            for route_index, route in enumerate(configuration.routes)
        },
        **{
            f"digests.{route_index}.to": route.to
            for route_index, route in enumerate(configuration.digests)
        },
    }
    for path, names in sinks_by_place.items():
        for name in names:
            if name not in sinks:
                yield Problem(path, f'names "{name}", which is no sink: one of {", ".join(sinks)}')
            elif path.startswith("digests") and sinks[name].kind == "Alertmanager":
                yield Problem(path, f'names "{name}": an Alertmanager receives no digest')
    for name, sink in sinks.items():
        if isinstance(sink, HttpSink) and (sink.url is None) is (sink.url_file is None):
            yield Problem(f"sinks.{name}", "needs one of url and urlFile")
    names_before: set[str] = set()
    for index, digest in enumerate(configuration.digests):
        if digest.name in names_before:
            text = f'is "{digest.name}", as that of an earlier digest: set another name'
            yield Problem(f"digests.{index}.name", text)
        names_before.add(digest.name)
