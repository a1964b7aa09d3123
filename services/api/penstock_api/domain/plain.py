"""Text that anybody may have put on the bus, as a database can hold it."""


def plain(written: str, length: int | None = None) -> str:
    """The first `length` characters, or all; PostgreSQL takes neither NUL nor half a surrogate pair."""
    return written[:length].encode("utf-8", "replace").decode().replace("\x00", "�")
