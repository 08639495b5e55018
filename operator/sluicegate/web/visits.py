"""What changed on the portfolio since its reader's last visit; a cookie of the browser has the time of the visit.

Nothing is stored on the server. A visit ends half an hour after the reader opened the portfolio; a page that
loads itself again continues none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import web

from sluicegate.views.needs import LABELS
from sluicegate.views.product_facts import ProductFacts, Trained
from sluicegate.views.words import as_words
from sluicegate.web.identity import PageReader

REFRESH_HEADER: Final = "X-Sluicegate-Refresh"
"""Header of a page that loads itself again, which is no visit."""
VISIT_GAP_SECONDS: Final = 1800
MAX_COOKIE_AGE_SECONDS: Final = 90 * 86_400
_TRAININGS: Final = {"Training": "a training began", "Waiting": "a training is due"}


@dataclass(frozen=True, slots=True)
class ChangedProduct:
    """One product with what changed since a time, the newest first; `time` in seconds since the epoch."""

    product: ProductFacts
    texts: tuple[str, ...]
    time: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a reader; times in seconds since the epoch.

    Attributes
    ----------
    name, owner : of the cookie, and a digest of the reader's name in it.
    last_end : end of the visit before; None for the first one that the browser has a cookie of.
    opened : time at which the reader opened the page in this visit.
    """

    name: str
    owner: str
    last_end: int | None
    opened: int

    def add_cookie(self, response: web.StreamResponse) -> None:
        """Set the cookie, which no script can read and which has no names of people or products."""
        times = ("" if self.last_end is None else str(self.last_end), str(self.opened))
        response.set_cookie(
            self.name, ".".join((self.owner, *times)), max_age=MAX_COOKIE_AGE_SECONDS, httponly=True,
            samesite="Lax", path="/",
        )  # fmt: skip

    def changes(self, products: Iterable[ProductFacts]) -> tuple[ChangedProduct, ...]:
        """Return the products that changed since the last visit, the newest change first."""
        if self.last_end is None:
            return ()
        changes = (_change_since(product, self.last_end) for product in products)
        return tuple(
            sorted(
                (change for change in changes if change is not None),
                key=lambda change: (-change.time, change.product.key),
            )
        )


def visit_of(request: web.Request, reader: PageReader, now: float) -> Visit | None:
    """Return the visit that a request belongs to; None for a reader who is no person.

    `now` is in seconds since the epoch.
    """
    if not reader.session:
        return None
    port = request.host.rpartition(":")[2]
    # Cookies ignore ports, and two pages on a machine must not share one.
    name = f"sluicegate-visit-{port}" if port.isdigit() else "sluicegate-visit"
    owner, time = sha256(reader.user.encode()).hexdigest()[:16], int(now)
    previous_visit = _previous_visit(name, owner, request.cookies.get(name, ""), now=time)
    if previous_visit is None:
        return Visit(name, owner, None, time)
    if REFRESH_HEADER in request.headers:
        return previous_visit
    is_new = time - previous_visit.opened > VISIT_GAP_SECONDS
    return Visit(name, owner, previous_visit.opened if is_new else previous_visit.last_end, time)


def _previous_visit(name: str, owner: str, cookie_text: str, *, now: int) -> Visit | None:
    """Parse the cookie; None for one of another reader, or with times that are none or in the future."""
    match cookie_text.split("."):
        case [cookie_owner, last_end, opened] if cookie_owner == owner:
            opened_time = _time_of(opened, now)
            if opened_time is None:
                return None
            return Visit(name, owner, _time_of(last_end, now), opened_time)
        case _:
            return None


def _time_of(text: str, now: int) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(now))
    return int(text) if is_number and int(text) <= now else None


def _change_since(product: ProductFacts, start_time: int) -> ChangedProduct | None:
    changes = sorted(
        ((time, text) for time, text in _dated_changes(product) if time > start_time), reverse=True
    )
    if not changes:
        return None
    return ChangedProduct(product, tuple(dict.fromkeys(text for _, text in changes)), changes[0][0])


def _dated_changes(product: ProductFacts) -> Iterator[tuple[int, str]]:
    """Yield the time and the text of each dated change of a product."""
    if product.state_since is not None:
        yield product.state_since, str(product.state)
    if product.model_since is not None:
        yield product.model_since, f"{product.model} became stable"
    if product.last_training is not None and product.last_training.time is not None:
        yield product.last_training.time, _training_text(product.last_training)
    for need in product.needs:
        if need.since is not None:
            yield need.since, LABELS[need.kind]


def _training_text(trained: Trained) -> str:
    text = _TRAININGS.get(trained.outcome, f"a training ended: {as_words(trained.outcome)}")
    return f"{text} ({as_words(trained.reason)})" if trained.reason else text
