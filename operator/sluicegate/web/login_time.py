"""Time of a reader's login, as a proxy or a token has it."""

import base64
import binascii
import json
import math
import re
from datetime import UTC, datetime
from typing import Final

_CLAIM: Final = "auth_time"
_TOKEN: Final = re.compile(r"[^.]*\.(?P<claims>[^.]*)\.[^.]*")


def login_time_of(value: str) -> int | None:
    """Return the time of a login in seconds since the epoch; None if the text has none.

    `value` is that time, as a number or by RFC 3339, or a JSON Web Token with the claim `auth_time`, whose
    signature the sender of the text has verified.
    """
    text = value.strip()
    if (token := _TOKEN.fullmatch(text)) is not None:
        return _login_claim(token["claims"])
    try:
        return _seconds(float(text))
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int(time.replace(tzinfo=time.tzinfo or UTC).timestamp())


def _login_claim(payload: str) -> int | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return None
    time = claims.get(_CLAIM) if isinstance(claims, dict) else None
    if isinstance(time, bool) or not isinstance(time, int | float):
        return None
    return _seconds(time)


def _seconds(number: float) -> int | None:
    return int(number) if math.isfinite(number) else None
