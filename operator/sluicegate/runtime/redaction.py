"""Removal of credentials from texts: log lines, and what containers leave behind.

A text of a container goes into status, events, the portfolio page and messages, whose readers may
not read the logs of pods. Three steps find credentials: forms that services give to their keys,
names of credentials with a value after them, and the mix of characters that random keys have and
words, paths, names of images and digests don't have. A hexadecimal text may be a digest or a key,
and stays, unless a name or a header says that it is a key.

The time is linear in the length of the text: each pattern begins with a word or a sign of its own,
and what it reads from there is bounded, or can't contain another beginning.
"""

import re
from collections import Counter
from itertools import pairwise
from math import log2
from typing import Final

REDACTED_TEXT: Final = "[redacted]"

_QUOTE_PATTERN = r"\\{0,3}[\"']"
"""A quote, also of a string within a JSON string."""
_SIGNATURES = r"x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|sig|signature|awsaccesskeyid"  # fmt: skip
_SCHEMES_PATTERN = r"basic|bearer|token|api-?key|negotiate|ntlm|hawk|aws4-hmac-sha256|sharedkey(?:lite)?"  # fmt: skip
_REPLACED_FORMS: Final = tuple(
    (re.compile(pattern), replacement_text)
    for pattern, replacement_text in (
        # A private key, also with headers, and also without its end.
        (
            (
                r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^\"-]|-(?!----)){0,16000}"
                r"(?:-----END [A-Z0-9 ]{0,40}-----)?"
            ),
            REDACTED_TEXT,
        ),
        # A header with a scheme; one without a scheme is a name with a value.
        (
            rf"(?i)(authorization(?:{_QUOTE_PATTERN})?\s{{0,4}}[:=,]\s{{0,4}}b?(?:{_QUOTE_PATTERN})?(?:{_SCHEMES_PATTERN})\s{{1,4}})[\w.~+/=:-]+",
            rf"\1{REDACTED_TEXT}",
        ),
        # A bearer: long, or with a digit, or behind a capital and no word of a sentence about it.
        (
            r"(?i)\b(bearer\s{1,4})(?:[\w.~+/=-]{20,}|(?=[a-z_.~+/=-]{0,20}\d)[\w.~+/=-]{6,})",
            rf"\1{REDACTED_TEXT}",
        ),
        (
            (
                r"\b(Bearer\s{1,4})(?!(?i:tokens?|auth\w{0,16}|credentials?|realm|header|schemes?"
                r"|required|rejected|missing|expected|security|challenge)\b)[\w.~+/=-]{8,}"
            ),
            rf"\1{REDACTED_TEXT}",
        ),
        # Digest authentication, and signatures of AWS in a header.
        (
            rf"(?i)\b((?:response|signature)=(?:{_QUOTE_PATTERN})?)[0-9a-f]{{32,}}",
            rf"\1{REDACTED_TEXT}",
        ),
        (
            rf"(?i)(cookie2?(?:{_QUOTE_PATTERN})?[:=,(\s]{{1,8}}b?(?:{_QUOTE_PATTERN})?[\w.!#$%*+^|~-]{{1,64}}=(?:{_QUOTE_PATTERN})?)[^\s\"'\\;]+(?:;\s?[^\s\"'\\;]+)*",
            rf"\1{REDACTED_TEXT}",
        ),
        (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", REDACTED_TEXT),  # a JSON web token
        # User and password in a URL; a port is no password, and the @ of a query no sign of one.
        (r"(?<=://)(?!\[)[^\s\"'@/:?#]*:(?!\d{1,5}[/?#])[^\s\"']{0,256}@", f"{REDACTED_TEXT}@"),
        (r"(?<=://)[^\s\"'@/:?#]{12,}@", f"{REDACTED_TEXT}@"),
        (rf"(?i)([?&;](?:{_SIGNATURES})=)[^&\s\"'<>\\]+", rf"\1{REDACTED_TEXT}"),
        (r"(?i)([?&;]key=)(?=[^&\s\"'<>\\\d]{0,64}\d)[^&\s\"'<>\\]{8,}", rf"\1{REDACTED_TEXT}"),
        # Passwords of commands that have short options for them.
        (
            r"\b((?:mysql|mariadb)[\w-]{0,16}\s(?:[^\n]{0,200}?\s)??-p)[^\s\"'\\]+",
            rf"\1{REDACTED_TEXT}",
        ),
        (
            r"\b((?:sshpass|docker\slogin)\s(?:[^\n]{0,200}?\s)??-p\s?)[^\s\"'\\]+",
            rf"\1{REDACTED_TEXT}",
        ),
        (r"\b(redis-cli\s(?:[^\n]{0,200}?\s)??-a\s?)[^\s\"'\\]+", rf"\1{REDACTED_TEXT}"),
        (
            rf"\b((?:curl|https?)\s(?:[^\n]{{0,200}}?\s)??(?:-u|-a|--user|--auth)[\s=]{{0,2}}(?:{_QUOTE_PATTERN})?[^\s\"':\\]{{0,64}}:)[^\s\"'\\]+",
            rf"\1{REDACTED_TEXT}",
        ),
        # Keys whose service gives them a form.
        (r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}\b", REDACTED_TEXT),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})", REDACTED_TEXT),
        (r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas)-[\w-]{16,}", REDACTED_TEXT),
        (r"\b(?:xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,})", REDACTED_TEXT),
        (r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]+", REDACTED_TEXT),
        (r"(\bdiscord(?:app)?\.com/api/(?:v\d{1,3}/)?webhooks/)[\w/-]+", rf"\1{REDACTED_TEXT}"),
        (r"\b(?:AIza[\w-]{30,}|ya29\.[\w-]{20,})", REDACTED_TEXT),
        (r"\b[spr]k[-_](?:live|test|proj|ant|svcacct|admin)[-_][\w-]{16,}", REDACTED_TEXT),
        (r"\bsk-[A-Za-z0-9]{40,}", REDACTED_TEXT),
        (r"\b(?:hf|npm|dop_v1|shpat)_[A-Za-z0-9]{20,}", REDACTED_TEXT),
        (r"\b(?:pypi-[\w-]{20,}|dapi[0-9a-f]{32}|hv[sbr]\.[\w-]{20,})", REDACTED_TEXT),
        # The text of an element of XML.
        (
            r"(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key)(?:\s[^<>]{0,100})?>)[^<>]{1,1000}(?=</)",
            rf"\1{REDACTED_TEXT}",
        ),
    )
)
"""Forms of credentials, with what replaces each."""

_NAME_PATTERN: Final = (
    # `pass` and `auth` are also ends of other words.
    r"(?:(?P<password>password|passwd|passphrase|passcode|pwd)|(?P<pass>(?<![a-z])pass)"
    r"|(?P<key>(?:api|access|secret|private|account|encryption|decryption|signing|master|storage"
    r"|subscription|license|hmac|auth|ssh)[ _-]?key|client[_-]?secret|connection[_-]?string"
    r"|authorization|secret[_-]key[_-]base)"
    r"|(?P<weak>secret|token|credentials?|hmac|bearer|(?<![a-z])auth))(?P<plural>s)?"
)
"""End of a name; what stands before it doesn't matter. A weak name is also a word of sentences."""
_SIGN_PATTERN: Final = (
    # An annotation of Python with a default, an assignment, a pair of JSON, PHP or Ruby.
    rf"(?P<sign>(?P<closed>{_QUOTE_PATTERN})?\]?\s{{0,4}}"
    r"(?:(?::\s{0,4}(?:str|bytes|string|SecretStr)(?:\s?\|\s?None)?\s{0,4})?={1,2}>?|:=?"
    # A variable of a container, and a pair of a tuple or an option of a list of arguments.
    rf"|,\s{{0,4}}(?:{_QUOTE_PATTERN})value{_QUOTE_PATTERN}\s{{0,4}}:|,)[^\S\n]{{0,4}}|[^\S\n]{{1,4}})"
)
_BARE_CHARACTER: Final = r"[^\s\"'\\,;&)}\]<]"
_VALUE_PATTERN: Final = (
    # A list of strings, a string with all its words, or what reaches up to a separator.
    rf"(?:\[\s{{0,40}}(?P<first>{_QUOTE_PATTERN})(?P<list>[^\]\n]{{1,2000}}+)(?=\])"
    rf"|[bruf]{{0,2}}(?P<quote>{_QUOTE_PATTERN})(?P<quoted>[^\n]{{0,4000}}?)(?=(?<!\\)(?P=quote))"
    rf"|(?:[bruf]{{0,2}}{_QUOTE_PATTERN})?(?P<bare>{_BARE_CHARACTER}{{1,256}}))"
)
_NAMED_SECRET: Final = re.compile(rf"(?i){_NAME_PATTERN}{_SIGN_PATTERN}{_VALUE_PATTERN}")
_NAME_ALONE: Final = re.compile(rf"(?i){_NAME_PATTERN}$")
_REST_PATTERN: Final = re.compile(rf"{_BARE_CHARACTER}*")
_OPTION: Final = re.compile(r"(?<![\w-])--?[\w-]{0,48}$")
"""The part of an option of a command before the end of its name."""
_NO_VALUE: Final = re.compile(
    r"(?i)none|null|nil|undefined|true|false|\d{1,3}|\*+|<[^<>]{0,40}>|\[[a-z_]{0,16}\]?"
    r"|\$[{(]\w+[})]?|os\.(?:environ|getenv).*|self\..*"
    # Types, of annotations.
    r"|(?:str|string|bytes|bool|int|any|secretstr|optional\[?.*)(?:\s?\|\s?none)?"
)
"""What isn't a credential under any name: constants, types, and what stands for a value."""
_SENTENCE: Final = re.compile(
    r"(?i)(?:field|required|missing|input|value|invalid|incorrect|wrong|expected|must|should|cannot"
    r"|can|is|was|has|not|no|extra|expired|denied|rejected|failed|empty|unknown|unauthorized"
    r"|forbidden|and|or|for|of|from|to|in|option|argument)\W?"
)
"""First word of a message about a field; after a colon or a blank only."""
_PATH: Final = re.compile(r"(?:file://|~|\.{1,2})?(?:/[\w.@-]+)+/?")
_OBJECT_NAME: Final = re.compile(r"[a-z]+(?:[-.](?:[a-z]+|v?\d{1,4}|[a-z0-9]{5}))+")
"""A name of a Kubernetes object: words, numbers and the suffix of a generated name."""
_KEY_LIKE: Final = re.compile(r"(?=[^\d]*\d)[\w+/=.~-]{8,}")
_SHORTEST_KEY: Final = 8

_RUN: Final = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_=-]{24,}")
_DIGEST: Final = re.compile(r"(?i)sha(?:256|384|512):$")
_DIGEST_RUN: Final = re.compile(r"(?i)sha(?:256|384|512)-[A-Za-z0-9+/]{43,86}={0,2}$")
_MANGLED_NAME: Final = re.compile(r"_{1,3}Z[A-Z]{0,4}\d{1,3}[A-Za-z_]")
"""Beginning of the name of a C++ function in a stack trace."""
_HEXADECIMAL_PATTERN: Final = re.compile(r"[0-9a-fA-F-]+")
_SEPARATOR_PATTERN: Final = re.compile(r"[/_=+-]+")
_MIN_ENTROPY: Final = 3.5
"""Bits for each character, from which a text counts as random."""
_CHANGES: Final = 0.3
"""Changes between small letters, capitals and digits for each character: a random text has about
0.6, an identifier of several words less."""
_LONG_CHARACTERS: Final = 28
"""Characters of a random text without capitals, or without small letters; names of pods have 16."""
_CHANGES_WITHOUT_CASE: Final = 0.2
"""Changes between letters and digits for each character: a random text has about 0.4."""
_WORDS: Final = re.compile(r"[A-Z]?[a-z]{2,}")
_MAX_WORDS: Final = 0.6
"""Share of the characters in what may be words: a random text has about 0.35."""


def redact(text: str) -> str:
    """Return the text without what may be a credential."""
    for pattern, replacement_text in _REPLACED_FORMS:
        text = pattern.sub(replacement_text, text)
    return _RUN.sub(_without_random, _without_named(text))


def redact_values(value: object) -> object:
    """Return a value of JSON whose texts have no credentials; other objects become text."""
    match value:
        case str():
            return redact(value)
        case bool() | int() | float() | None:
            return value
        case dict():
            return {
                redact(str(name)): _of_field(str(name), field_value)
                for name, field_value in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [redact_values(field_value) for field_value in value]
        case _:
            return redact(str(value))


def _of_field(name: str, value: object) -> object:
    if isinstance(value, str) and value and _NAME_ALONE.search(name):
        return value if _NO_VALUE.fullmatch(value) else REDACTED_TEXT
    return redact_values(value)


def _without_named(text: str) -> str:
    """Return the text without values whose names mark them as credentials."""
    text_parts: list[str] = []
    position = start = 0
    while credential_match := _NAMED_SECRET.search(text, start):
        if not _is_credential(credential_match):
            start = credential_match.start("sign")  # the value may contain another name
            continue
        kind = next(
            kind for kind in ("list", "quoted", "bare") if credential_match[kind] is not None
        )
        text_parts += [
            text[position : credential_match.start(kind)],
            REDACTED_TEXT,
            credential_match["first"] or "",
        ]
        rest_match = _REST_PATTERN.match(text, credential_match.end()) if kind == "bare" else None
        position = start = rest_match.end() if rest_match else credential_match.end()
    return "".join([*text_parts, text[position:]])


def _is_credential(credential_match: re.Match[str]) -> bool:
    """Return whether the value under a name is a credential."""
    value = credential_match["list"] or credential_match["quoted"] or credential_match["bare"]
    separator_sign = credential_match["sign"].strip()
    if not value or _is_kept(credential_match, value, separator_sign):
        return False
    if not separator_sign or separator_sign[-1] == ",":
        return _is_pair(credential_match, value, separator_sign)
    if credential_match["weak"] and credential_match["plural"]:
        return bool(_KEY_LIKE.match(value))  # tokens are also parts of texts, and a number of them
    return (
        separator_sign != ":"
        or bool(credential_match["list"])
        or _is_credential_after_colon(credential_match, value)
    )


def _is_kept(credential_match: re.Match[str], value: str, separator_sign: str) -> bool:
    """Return whether a value is no credential under any name."""
    return bool(
        value.startswith(REDACTED_TEXT[:-1])
        or _NO_VALUE.fullmatch(value)
        or (credential_match["bare"] and separator_sign in ("", ":") and _SENTENCE.fullmatch(value))
        or (credential_match["bare"] and not _is_passphrase(credential_match) and _is_path(value))
    )


def _is_pair(credential_match: re.Match[str], value: str, separator_sign: str) -> bool:
    """Return whether two words are an option with its value, or two strings a pair of a tuple."""
    is_quoted = bool(credential_match["closed"]) and credential_match["quoted"] is not None
    if _OPTION.search(_text_before(credential_match)):
        return is_quoted or (not separator_sign and not value.startswith("-"))
    is_pair = is_quoted and credential_match.string.startswith(
        ")", credential_match.end() + len(credential_match["quote"])
    )
    return is_pair and (not credential_match["weak"] or bool(_KEY_LIKE.match(value)))


def _is_credential_after_colon(credential_match: re.Match[str], value: str) -> bool:
    """Return whether a value after a colon is more than a word of a sentence.

    A password always is; a key is, from some length on; what follows a weak name has to look like
    a key.
    """
    text_before = _text_before(credential_match)
    if credential_match["password"] or (
        credential_match["pass"] and text_before.endswith(("_", "-"))
    ):
        return True
    if credential_match["key"]:
        return len(value) >= _SHORTEST_KEY or any(character.isdigit() for character in value)
    return (
        bool(_KEY_LIKE.match(value))
        and not _OBJECT_NAME.fullmatch(value)
        and not text_before.lower().endswith("unexpected ")
    )


def _text_before(credential_match: re.Match[str]) -> str:
    return credential_match.string[max(0, credential_match.start() - 50) : credential_match.start()]


def _is_passphrase(credential_match: re.Match[str]) -> bool:
    return (
        credential_match["password"] or "pwd"
    ).lower() != "pwd"  # PWD is also the working directory


def _is_path(value: str) -> bool:
    return bool(_PATH.fullmatch(value)) and not _is_random(value)


def _without_random(credential_match: re.Match[str]) -> str:
    run = credential_match[0]
    text_before = credential_match.string[
        max(0, credential_match.start() - 8) : credential_match.start()
    ]
    if (
        _HEXADECIMAL_PATTERN.fullmatch(run)
        or _DIGEST.search(text_before)
        or _DIGEST_RUN.match(run)
        or _MANGLED_NAME.match(run)
    ):
        return run
    return REDACTED_TEXT if _is_random(run) else run


def _is_random(run: str) -> bool:
    """Return whether a run of characters looks like a key, and not like words or a path."""
    text_parts = [text_part for text_part in _SEPARATOR_PATTERN.split(run) if text_part]
    if any(_is_random_without_case(text_part) for text_part in text_parts):
        return True
    all_letters = "".join(text_parts)
    kinds = [_kind(character) for character in all_letters]
    words = sum(len(word) for word in _WORDS.findall(run))
    return (
        len(set(kinds)) == len("aA1")
        and _case_changes(kinds) >= _CHANGES
        and words < _MAX_WORDS * len(all_letters)
        and _text_entropy(all_letters) >= _MIN_ENTROPY
    )


def _is_random_without_case(text_part: str) -> bool:
    digits = sum(character.isdigit() for character in text_part)
    return (
        len(text_part) >= _LONG_CHARACTERS
        and not _HEXADECIMAL_PATTERN.fullmatch(text_part)
        and (text_part.islower() or text_part.isupper())
        and 0.1 * len(text_part) <= digits <= 0.6 * len(text_part)
        and _case_changes([_kind(character) for character in text_part]) >= _CHANGES_WITHOUT_CASE
        and _text_entropy(text_part) >= _MIN_ENTROPY
    )


def _kind(character: str) -> str:
    return "1" if character.isdigit() else "A" if character.isupper() else "a"


def _case_changes(kinds: list[str]) -> float:
    """Return the changes of kind, for each character."""
    return sum(kind != next_kind for kind, next_kind in pairwise(kinds)) / max(1, len(kinds))


def _text_entropy(text: str) -> float:
    """Return the entropy of the characters, in bits for each."""
    counts = Counter(text).values()
    return -sum(count / len(text) * log2(count / len(text)) for count in counts)
