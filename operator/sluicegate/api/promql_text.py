"""Text of PromQL, apart from its parser: that is imported where a product has an expression."""


def quote(value: str) -> str:
    """Return a PromQL string literal: quotes, backslashes and line breaks can't end it."""
    escaped_value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped_value}"'


class UnboundPromql(ValueError):  # noqa: N818 - says what is the case
    """The expression can't be read, or the series that it reads are unknown."""
