"""Requests of a product as the reader: who may, and the patch in this person's name.

No rule is decided here: the API server's roles and policies do. A form is valid for one login, one
product and one state of it, so none is sent twice, and an approval never reaches another candidate.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sluicegate.api import names
from sluicegate.kube import requests
from sluicegate.kube.errors import Conflict, KubeError
from sluicegate.kube.resources import DATA_PRODUCTS, Key, key_of
from sluicegate.kube.transport import Transport
from sluicegate.views import product as facts
from sluicegate.views.approval_actions import missing_parties, roles_of
from sluicegate.views.person_actions import PROMOTE_ACTION
from sluicegate.views.plain_text import is_invisible
from sluicegate.views.request_notes import MAX_REASON_LENGTH
from sluicegate.web.authorization import MAX_READERS, is_allowed
from sluicegate.web.identity import CACHE_SECONDS, PageReader
from sluicegate.web.impersonation import (
    ANY_LOGIN,
    CONFLICT,
    FIELD_MANAGER,
    FORBIDDEN,
    UNPROCESSABLE,
    RecentLogin,
    WriteRefused,
    WriteWords,
    form_texts,
    form_token,
    in_the_name_of,
    matches_token,
    may_write,
    refusal_of,
)
from sluicegate.web.intents import (
    ACTIONS,
    EDIT_VERB,
    VERBS,
    Intent,
    answer_verbs,
    consumer_intents,
    intents_of,
    resolved_intent,
    upstream_in,
)
from sluicegate.web.ttl_cache import TtlCache

LOG: Final = logging.getLogger("sluicegate.web.acting")
PATCH: Final = "patch"
ATTEMPTS: Final = 5
"""Writes that may meet an object whose status changed meanwhile."""
_CHANGED_TEXT: Final = (
    "The product has changed since the form was shown, or the form was sent already: read it again."
)


@dataclass(frozen=True, slots=True)
class ActForm:
    """Fields of the form."""

    version: str = ""
    reason: str = ""
    confirmed: str = ""
    token: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "ActForm":
        """Parse the form of a request; a value that is no text is empty."""
        return cls(**form_texts(fields, cls.__slots__))


class Acting:
    """Sender of requests as their readers.

    Parameters
    ----------
    clock : returns seconds since the epoch. monotonic : for the age of permissions.
    recent_login : requirement of requests that move traffic.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        recent_login: RecentLogin = ANY_LOGIN,
    ) -> None:
        self._transport = transport
        self._recent_login = recent_login
        self._clock = clock
        self._rights: TtlCache[tuple[PageReader, Key], frozenset[str]] = TtlCache(
            MAX_READERS, CACHE_SECONDS, monotonic
        )

    async def offered(
        self, reader: PageReader, product: facts.Body, upstreams: Iterable[facts.Body] = ()
    ) -> list[Intent]:
        """Return the requests that this reader may send now, cached for a minute; empty while the API server is unreachable.

        `upstreams` are products whose candidates wait for an answer of this one.
        """
        if not may_write(reader):
            return []
        try:
            verbs = await self._cached_verbs(reader, product)
        except KubeError:
            return []
        intents = (*intents_of(product), *consumer_intents(product, upstreams))
        return [intent for intent in intents if intent.needs in verbs]

    async def _cached_verbs(self, reader: PageReader, product: facts.Body) -> frozenset[str]:
        """Return the reader's RBAC verbs, including those of managers in spec.team."""
        missing_verbs = frozenset(answer_verbs(missing_parties(product)))
        if reader.own:
            return frozenset(
                {*ACTIONS, EDIT_VERB, *missing_verbs}
            )  # the API server answers for the kubeconfig
        key = key_of(product)
        verbs = await self._rights.get((reader, key), lambda: self._query_verbs(reader, key))
        if PATCH not in verbs:
            return frozenset()
        manager_verbs = ACTIONS.keys() if reader.user in facts.managers(product) else ()
        role_verbs = answer_verbs(roles_of(product, reader.user))
        return verbs.union(
            manager_verbs, role_verbs, missing_verbs if PROMOTE_ACTION.verb in verbs else ()
        )

    async def _query_verbs(self, reader: PageReader, key: Key) -> frozenset[str]:
        verbs = (PATCH, EDIT_VERB, *ACTIONS)
        answers = await asyncio.gather(
            *(
                is_allowed(
                    self._transport,
                    reader,
                    {
                        "resource": names.PLURAL, "verb": verb,
                        "namespace": key.namespace, "name": key.name,
                    },
                )
                for verb in verbs
            )
        )  # fmt: skip
        return frozenset(
            verb for verb, verb_allowed in zip(verbs, answers, strict=True) if verb_allowed
        )

    def login_objection(self, reader: PageReader, intent: Intent) -> str:
        """Return why this login is too old for a request; empty if it isn't."""
        return self._recent_login.objection(reader, self._clock()) if intent.moves_traffic else ""

    def login_address(self, path: str) -> str:
        """Return where a reader logs in again, to continue at this path; empty if it isn't known."""
        return self._recent_login.address(path)

    @staticmethod
    def token(reader: PageReader, product: facts.Body, intent: Intent) -> str:
        """Return the token of a form of this reader for this request of this product as it is."""
        return form_token(reader, "act", reader.user, str(key_of(product)), *intent.state)

    async def act(
        self,
        reader: PageReader,
        product: facts.Body,
        verb: str,
        form: ActForm,
        *,
        upstream: facts.Body | None = None,
    ) -> dict[str, Any]:
        """Send a request as the reader; return the product of the API server's answer.

        `upstream` is the product whose candidate is answered for this one.

        Raises
        ------
        WriteRefused
            The form, the state of the product, or the API server doesn't allow it.
        """
        key = key_of(product)
        try:
            intent = resolved_intent(product, verb, form.version, upstream=upstream)
            change = self._checked_intent(reader, product, intent, form)
            assert intent is not None
            body = await self._patch_product(
                reader, product, intent, change=change, upstream=upstream
            )
        except WriteRefused as refusal:
            LOG.warning(
                "%s is refused: %s", _audit_line(reader, verb, key, form), json.dumps(str(refusal))
            )
            raise
        LOG.info("%s", _audit_line(reader, verb, key, form))
        return body

    def _checked_intent(
        self, reader: PageReader, product: facts.Body, intent: Intent | None, form: ActForm
    ) -> dict[str, Any]:
        """Return the patch of a form; WriteRefused if the form or the state of the product doesn't allow it."""
        if not may_write(reader):
            raise WriteRefused(FORBIDDEN, "Only a person can act: log in as one.")
        if intent is None or not matches_token(form.token, self.token(reader, product, intent)):
            raise WriteRefused(CONFLICT, _CHANGED_TEXT)
        if objection := self.login_objection(reader, intent):
            raise WriteRefused(FORBIDDEN, objection)
        if is_invisible(form.reason):
            raise WriteRefused(UNPROCESSABLE, "The reason is empty: write why, in a sentence.")
        if len(form.reason) > MAX_REASON_LENGTH:
            text = (
                f"The reason has {len(form.reason)} characters: shorten it to {MAX_REASON_LENGTH}."
            )
            raise WriteRefused(UNPROCESSABLE, text)
        if intent.moves_traffic and not form.confirmed:
            raise WriteRefused(UNPROCESSABLE, "This moves traffic: confirm it.")
        return intent.change(_token(self._clock()), reader.user, form.reason)

    async def _patch_product(
        self,
        reader: PageReader,
        product: facts.Body,
        intent: Intent,
        *,
        change: dict[str, Any],
        upstream: facts.Body | None,
    ) -> dict[str, Any]:
        """Patch the product; after a conflict in status alone, read it again with the page's account."""
        key = key_of(product)
        words = WriteWords(
            "request",
            "product",
            "act",
            "web.acting",
            f"kubectl sluicegate {intent.command} {intent.upstream or key}",
        )
        live_product = product
        for attempt in range(ATTEMPTS):
            request = requests.patch_request(
                DATA_PRODUCTS, key, change, field_manager=FIELD_MANAGER,
                resource_version=str(live_product["metadata"].get("resourceVersion", "")),
            )  # fmt: skip
            try:
                return await self._transport.send(in_the_name_of(reader, request))
            except Conflict as error:
                if attempt == ATTEMPTS - 1:
                    raise refusal_of(error, reader, words, key.namespace) from error
            except KubeError as error:
                raise refusal_of(error, reader, words, key.namespace) from error
            try:
                live_product = await self._transport.send(requests.get_request(DATA_PRODUCTS, key))
            except KubeError as error:
                raise refusal_of(error, reader, words, key.namespace) from error
            live_intent = resolved_intent(
                live_product, intent.verb, intent.version, upstream=upstream
            )
            if live_intent is None or live_intent.state != intent.state:
                raise WriteRefused(CONFLICT, _CHANGED_TEXT)
        raise AssertionError("each attempt returns or raises")


def _token(seconds: float) -> str:
    """Return a single-use token: the time in microseconds, as RFC 3339."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _audit_line(reader: PageReader, verb: str, key: Key, form: ActForm) -> str:
    """Return a request for the log; texts of people are quoted, so that they can't end the line."""
    word = verb if verb in VERBS or upstream_in(verb) else json.dumps(verb)
    version_text = f" {json.dumps(form.version)}" if form.version else ""
    return f"{json.dumps(reader.user)} requests {word}{version_text} of {key}: {json.dumps(form.reason)}"
