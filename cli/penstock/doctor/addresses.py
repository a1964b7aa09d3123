"""Addresses as they can be shown."""

from urllib.parse import urlsplit


def shown(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}{at}{place}", query="").geturl()
