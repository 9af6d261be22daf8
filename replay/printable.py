"""Bytes of unknown origin, printed without control sequences that a terminal would obey."""


def printable(content: bytes | None, longest: int) -> str:
    """On one line: text as it is, everything else as escapes; cut after `longest` bytes, and says so."""
    if content is None:
        return "none"
    text = content[:longest].decode("utf-8", "backslashreplace")
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
    return shown + (f" … ({len(content)} bytes)" if len(content) > longest else "")
