"""Messages as CloudEvents 1.0, structured or binary, with data by the shipped schemas. Pure.

The id of an event is that of its message, and the same at each attempt: by source and id a receiver
recognises a repeated event.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from sluicegate.api.base import rfc3339
from sluicegate.api.names import API_VERSION, PLURAL
from sluicegate.notify.catalogue import DIGEST_TYPE, TEST_TYPE, Urgency
from sluicegate.notify.message_batches import Message
from sluicegate.notify.transitions import Transition
from sluicegate.notify.wording import command_of, now_of, wording_of

SCHEMA_URL: Final = "https://sluicegate.dev/schemas"
SEVERITY_BY_URGENCY: Final = {
    Urgency.NEEDS_PERSON: ("WARN", 14),
    Urgency.BAD_NEWS: ("ERROR", 17),
    Urgency.GOOD_NEWS: ("INFO", 10),
    Urgency.INFORMATION: ("INFO", 9),
}
"""Text and number of the CloudEvents extension Severity, which are those of OpenTelemetry."""
STRUCTURED_CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
BINARY_CONTENT_TYPE: Final = "application/json"

Event = dict[str, Any]


def event_of(message: Message, *, cluster: str, number: int, portfolio: str = "") -> Event:
    """Convert a message to an event: its attributes and `data`.

    Parameters
    ----------
    number : of the message in the outbox, which grows: the extension `sequence`.
    """
    words = wording_of(message, cluster=cluster, portfolio=portfolio)
    text, severity_number = SEVERITY_BY_URGENCY[words.urgency]
    event: Event = {
        "specversion": "1.0",
        "id": message.id,
        "source": source_of(message, cluster),
        "type": message.type,
        "time": rfc3339(message.time),
        "datacontenttype": "application/json",
        "dataschema": f"{SCHEMA_URL}/{schema_of(message)}",
        "severitytext": text,
        "severitynumber": severity_number,
        "sequence": f"{number:012}",
    }
    if len(message.transitions) == 1:
        event["subject"] = event["partitionkey"] = message.transitions[0].origin.path
    event["data"] = {"title": words.title, "text": words.body, "urgency": words.urgency}
    event["data"] |= _data(message)
    return event


def source_of(message: Message, cluster: str) -> str:
    """Return the URI reference of the product, or of all products."""
    start = f"//{quote(cluster)}/apis/{API_VERSION}"
    if len(message.transitions) == 1:
        origin = message.transitions[0].origin
        return f"{start}/namespaces/{quote(origin.namespace)}/{PLURAL}/{quote(origin.name)}"
    return f"{start}/{PLURAL}"


def schema_of(message: Message) -> str:
    """Return the name of the schema file of the data."""
    match len(message.transitions):
        case 0:
            return "test.v1.json" if message.type == TEST_TYPE else "digest.v1.json"
        case 1:
            return "product.v1.json"
        case _:
            return "products.v1.json"


def _data(message: Message) -> dict[str, Any]:
    if message.type in {DIGEST_TYPE, TEST_TYPE}:
        return dict(message.digest)
    if len(message.transitions) == 1:
        return _transition(message.transitions[0])
    return {"products": [_transition(transition) for transition in message.transitions]}


def _transition(transition: Transition) -> dict[str, Any]:
    origin = transition.origin
    data: dict[str, Any] = {
        "transition": transition.kind,
        "namespace": origin.namespace,
        "product": origin.name,
        "uid": origin.uid,
        "time": rfc3339(transition.time),
        "owner": origin.owner,
        "priority": origin.priority,
        "markets": list(origin.markets),
        "reason": transition.reason,
        "message": transition.message,
        "version": transition.version,
        "upstream": transition.upstream,
        "decision": transition.decision,
        "folded": transition.folded,
        "now": now_of(transition),
        "command": command_of(transition),
        "review": transition.review,
    }
    return {name: value for name, value in data.items() if value}


def structured_request(event: Event) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a request that holds the whole event as JSON."""
    return {"Content-Type": STRUCTURED_CONTENT_TYPE}, json.dumps(event, ensure_ascii=False).encode()


def binary_request(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a request whose headers are the event's attributes."""
    headers = {
        f"ce-{name}": _header_value(str(value))
        for name, value in event.items()
        if name not in {"data", "datacontenttype"}
    }
    body = json.dumps(event["data"], ensure_ascii=False).encode()
    return {**headers, "Content-Type": BINARY_CONTENT_TYPE}, body


def _header_value(value: str) -> str:
    """Encode a header's value by the HTTP binding: printable ASCII without `"` and `%`."""
    plain_characters = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
    return quote(value, safe=plain_characters)
