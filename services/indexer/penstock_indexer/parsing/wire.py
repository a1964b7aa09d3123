"""What goes to the parser's process, and what comes back. MessagePack, one message each way."""

import msgspec


class Task(msgspec.Struct, frozen=True):
    """A document to be read."""

    content: bytes
    media_type: str
    chunk_characters: int
    overlap_characters: int
    limits: "Limits"


class Limits(msgspec.Struct, frozen=True):
    """What the process may use."""

    memory: int
    """Bytes of address space beyond what the interpreter has when it begins."""
    seconds: int
    """Of CPU."""
    characters: int
    """Of text."""
    pages: int


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of the document's text: `text[begins:ends]` of the whole."""

    begins: int
    ends: int
    page: int
    text: str


class Parsed(msgspec.Struct, frozen=True):
    """The document's chunks in order; or the code and sentence that say why there are none."""

    chunks: list[Chunk] = []
    pages: int = 0
    error_code: str = ""
    error: str = ""
