"""Requests with malformed headers to a server: it answers others, and none with an error of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

METHODS = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"OPTIONS",
    b"CONNECT",
    b"get",
    b"G\0T",
    b"",
    b"A" * 300,
)
PATHS = (
    b"/", b"/metrics", b"/healthz", b"//", b"/../x", b"/%00", b"/%zz", b"/\xff", b"*", b"http://a/b", b"?",
    b"/portfolio.json?team=%ff", b"/graph?of=a%2Fb", b"/products/a/b", b"/" + b"a" * 9000,
)  # fmt: skip
VERSIONS = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.1 ", b"", b"XTTP/1.1")
NAMES = (
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"Cookie", b"Range",
    b"Authorization", b"X-Forwarded-User", b"X-Forwarded-Groups", b"If-None-Match", b"Accept-Encoding",
    b"Content-Type", b"", b" ", b"A B", b"\xffn", b"N" * 300,
)  # fmt: skip
CONTENTS = (
    b"", b"x", b"0", b"-1", b"1e9", b"99999999999999999999", b"chunked", b"chunked, gzip", b"\xff\xfe", b"a\0b",
    b"=", b";" * 50, b"Bearer \xff", b"Bearer a.b.c", b"close", b"100-continue", b"bytes=0-", b"a" * 9000,
)  # fmt: skip
ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b"\0")
BODIES = (b"", b"", b"x", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffff\r\n", b"zz\r\n")
IMPATIENCE = 0.3
"""Seconds after which the sender of an unfinished request leaves."""
PROBE_SECONDS = 30.0
PROBE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
OK, SERVER_ERROR = 200, 500


def malformed(random: Random) -> bytes:
    """Return the bytes of a request."""
    line = b" ".join((random.choice(METHODS), random.choice(PATHS), random.choice(VERSIONS)))
    headers = b"".join(
        random.choice(NAMES) + random.choice((b":", b": ", b"")) + random.choice(CONTENTS)
        + random.choice(ENDS)
        for _ in range(random.randint(0, 6))
    )  # fmt: skip
    return line + random.choice(ENDS) + headers + b"\r\n" + random.choice(BODIES)


async def check_requests(port: int, random: Random, count: int, *, at_once: int = 20) -> int:
    """Send this many malformed requests to a server of this machine; return how many got an answer.

    Raises
    ------
    AssertionError
        An answer is an error of the server, or a probe in between is not answered.
    """
    answered = 0
    for begin in range(0, count, at_once):
        texts = [malformed(random) for _ in range(min(at_once, count - begin))]
        answers = await asyncio.gather(*(_answer(port, text) for text in texts))
        for text, answer in zip(texts, answers, strict=True):
            assert _code(answer) != SERVER_ERROR, (text, answer)
        answered += sum(map(bool, answers))
        assert _code(await _answer(port, PROBE, PROBE_SECONDS)) == OK
    return answered


async def _answer(port: int, text: bytes, seconds: float = IMPATIENCE) -> bytes:
    """Return the server's first bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with suppress(ConnectionError, TimeoutError):
        writer.write(text)
        answer = await asyncio.wait_for(reader.read(4096), seconds)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer


def _code(answer: bytes) -> int:
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
