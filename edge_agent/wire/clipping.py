"""Texts that came from outside, cut to what a record has room for."""


def clip(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, the last of them an ellipsis where something is missing."""
    if len(text.encode()) <= limit:
        return text
    return text.encode()[: limit - 3].decode(errors="ignore") + "…"
