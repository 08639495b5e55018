"""Removal of credentials from texts: log lines, and what containers leave behind.

A text of a container goes into status, events, the portfolio page and messages, whose readers may
not read the logs of pods. Detectors know forms of credentials; what has no form is found by the
mix of characters that random keys have and words, paths, names of images and digests don't have.
A hexadecimal text may be a digest or a key, and stays, unless its name says that it is a key.
"""

import re
from collections import Counter
from itertools import pairwise
from math import log2
from typing import Final

REDACTED: Final = "[redacted]"

_PASSPHRASE = r"(?:password|passwd|passphrase|pwd)"  # noqa: S105  # a pattern
_KEY = (
    r"(?:secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|account[_-]?key"
    r"|shared[_-]?access[_-]?key|credentials?|connection[_-]?string|hmac|bearer)"
)
_NAME = rf"[\w.-]{{0,64}}?(?:{_PASSPHRASE}|{_KEY})"
_PARAMETERS = (
    r"(?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|sig|signature"
    r"|awsaccesskeyid|key|(?:[\w-]*[_-])?(?:token|secret|password|apikey|api[_-]key))"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # A private key, also without its end.
        (
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-\"]{0,8000}(?:-----END [A-Z ]{0,40}-----)?",
            REDACTED,
        ),
        (r"(?i)(authorization\W{1,12}\w+\s+)[\w.~+/=-]+", rf"\1{REDACTED}"),
        (r"(?i)\b(bearer\s+)[\w.~+/=-]{20,}", rf"\1{REDACTED}"),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", REDACTED),  # a JSON web token
        # User and password in a URL; a port is no password.
        (r"(?<=://)[^\s\"'@/:]*:(?!\d{1,5}[/?#])[^\s\"']*@", f"{REDACTED}@"),
        (r"(?<=://)[^\s\"'@/:]{12,}@", f"{REDACTED}@"),
        (rf"(?i)([?&;]{_PARAMETERS}=)[^&\s\"'<>\\]+", rf"\1{REDACTED}"),
        (r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}\b", REDACTED),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,})", REDACTED),
        (r"\b(?:xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,})", REDACTED),
        (r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]+", REDACTED),
        (r"\b(?:AIza[\w-]{30,}|ya29\.[\w-]{20,})", REDACTED),
        (r"\b(?:[spr]k[-_](?:live|test|proj|ant)[-_][\w-]{16,}|sk-[A-Za-z0-9]{40,})", REDACTED),
        (r"\b(?:hf|npm|dop_v1|shpat)_[A-Za-z0-9]{20,}", REDACTED),
        (r"\b(?:pypi-[\w-]{20,}|dapi[0-9a-f]{32})", REDACTED),
        # A string under a name, as in JSON, also within a string.
        (
            rf"(?i)((\\{{0,3}}[\"']){_NAME}\2\s{{0,4}}:\s{{0,4}}(\\{{0,3}}[\"']))[^\"'\\]+(?=\3)",
            rf"\1{REDACTED}",
        ),
        # An assignment: a password always, another name where the value is no word.
        (
            (
                rf"(?i)(?<!\w)([\w.-]{{0,64}}?{_PASSPHRASE}\s{{0,4}}[=:]\s{{0,4}}\\{{0,3}}[\"']?)"
                rf"(?!\[redacted\])[^\s\"'\\,;&)}}\]]+"
            ),
            rf"\1{REDACTED}",
        ),
        (
            (
                rf"(?i)(?<!\w)([\w.-]{{0,64}}?{_KEY}\s{{0,4}}=\s{{0,4}}\\{{0,3}}[\"']?)"
                rf"(?!\[redacted\]|(?:none|null|true|false)\b)[^\s\"'\\,;&)}}\]]+"
            ),
            rf"\1{REDACTED}",
        ),
        (
            (
                rf"(?i)(?<!\w)([\w.-]{{0,64}}?{_KEY}\s{{0,4}}:\s{{0,4}}\\{{0,3}}[\"']?)"
                rf"(?=[^\s\"'\\,;&)}}\]]*\d)[\w+/=.~-]{{8,}}"
            ),
            rf"\1{REDACTED}",
        ),
    )
)
"""Forms of credentials, with what replaces each."""

_RUN: Final = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{24,}")
_DIGEST: Final = re.compile(r"(?i)sha(?:256|384|512):$")
_DIGEST_RUN: Final = re.compile(r"(?i)sha(?:256|384|512)-[A-Za-z0-9+/]{43,86}={0,2}$")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F-]+")
_SEPARATORS: Final = re.compile(r"[/_=+-]+")
_ENTROPY: Final = 3.5
"""Bits for each character, from which a text counts as random."""
_CHANGES: Final = 0.3
"""Changes between small letters, capitals and digits for each character: a random text has about
0.6, an identifier of several words less."""
_LONG: Final = 28
"""Characters of a random text without capitals, or without small letters; names of pods have 16."""
_WORDS: Final = re.compile(r"[a-z]{5,}|[A-Z][a-z]{4,}")


def redact(text: str) -> str:
    """Return the text without what may be a credential."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _RUN.sub(_without_random, text)


def redact_values(value: object) -> object:
    """Return a value of JSON whose texts have no credentials; other objects become text."""
    match value:
        case str():
            return redact(value)
        case bool() | int() | float() | None:
            return value
        case dict():
            return {redact(str(name)): redact_values(part) for name, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redact_values(part) for part in value]
        case _:
            return redact(str(value))


def _without_random(match: re.Match[str]) -> str:
    run = match[0]
    before = match.string[max(0, match.start() - 8) : match.start()]
    if _HEXADECIMAL.fullmatch(run) or _DIGEST.search(before) or _DIGEST_RUN.match(run):
        return run
    return REDACTED if _is_random(run) else run


def _is_random(run: str) -> bool:
    """Return whether a run of characters looks like a key, and not like words or a path."""
    parts = [part for part in _SEPARATORS.split(run) if part]
    if any(_is_random_without_case(part) for part in parts):
        return True
    letters = "".join(parts)
    kinds = [_kind(character) for character in letters]
    changes = sum(kind != after for kind, after in pairwise(kinds))
    words = sum(len(word) for word in _WORDS.findall(run))
    return (
        len(set(kinds)) == len("aA1")
        and changes >= _CHANGES * len(kinds)
        and words < len(letters) / 2
        and _entropy(letters) >= _ENTROPY
    )


def _is_random_without_case(part: str) -> bool:
    digits = sum(character.isdigit() for character in part)
    return (
        len(part) >= _LONG
        and not _HEXADECIMAL.fullmatch(part)
        and (part.islower() or part.isupper())
        and 0.1 * len(part) <= digits <= 0.6 * len(part)
        and not _WORDS.search(part.lower()[:_LONG])
        and _entropy(part) >= _ENTROPY
    )


def _kind(character: str) -> str:
    return "1" if character.isdigit() else "A" if character.isupper() else "a"


def _entropy(text: str) -> float:
    """Return the entropy of the characters, in bits for each."""
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)
