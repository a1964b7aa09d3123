"""Token counts by OpenAI's cl100k vocabulary: exact for the simulated engine, an estimate for any other."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import msgspec
from splintr import AnyTokenizer, Tokenizer

from penstock_inference.domain.errors import EngineRefused

# How a chat is framed: OpenAI cookbook, "How to count tokens with tiktoken".
PER_MESSAGE = 3
PER_NAME = 1
REPLY_PRIMER = 3
# OpenAI, "Images and vision": 85 tokens at low detail; at high detail 85, and 170 for each of the 4 tiles of
# a picture of 1024 by 1024 pixels.
IMAGE_LOW = 85
IMAGE_HIGH = 765
ORDINARY_TOKENS = 100_256  # ids below stand for text, the others for marks


@cache
def tokenizer() -> AnyTokenizer:
    """The vocabulary: 20 ms at first use."""
    return Tokenizer.from_pretrained("cl100k_base")


def count_tokens(text: str) -> int:
    """Tokens of a text: 7 ns a character, so that long ones belong on a thread."""
    return len(tokenizer().encode_ordinary(encodable(text)))


def split_tokens(text: str) -> Iterator[str]:
    """The text in pieces of one token each; tokens that share a character stay together."""
    held = b""
    for token in tokenizer().encode_ordinary(encodable(text)):
        held += tokenizer().decode_token_bytes(token)
        try:
            piece = held.decode()
        except UnicodeDecodeError:
            continue
        held = b""
        yield piece


def text_of_tokens(tokens: list[int]) -> str:
    """The text that these ids stand for, as OpenAI's clients send them. Raises EngineRefused for ids of no text."""
    if not all(0 <= token < ORDINARY_TOKENS for token in tokens):
        raise EngineRefused(f"token ids are those of cl100k_base, 0 to {ORDINARY_TOKENS - 1}; or send the text itself")
    return tokenizer().decode_lossy(tokens)


def count_input(body: dict[str, Any]) -> int:
    """Tokens of an embeddings request."""
    given = body["input"]
    return sum(map(count_entry, given if isinstance(given, list) else [given]))


def count_entry(entry: object) -> int:
    """Tokens of one entry of `input`: a text, token ids, or one token id."""
    if isinstance(entry, str):
        return count_tokens(entry)
    return len(entry) if isinstance(entry, list) else 1


def count_prompt(body: dict[str, Any]) -> int:
    """Prompt tokens of a chat completion request: messages with their framing, images, tools, answer schema."""
    if "input" in body:
        return count_input(body)
    total = REPLY_PRIMER
    texts: list[str] = []
    for message in body.get("messages") or ():
        total += PER_MESSAGE + (PER_NAME if message.get("name") else 0)
        texts += texts_of(message)
        total += sum(image_tokens(part) for part in parts_of(message))
    for extra in ("tools", "functions", "response_format"):
        if body.get(extra):
            texts.append(msgspec.json.encode(body[extra]).decode())
    return total + sum(map(count_tokens, texts))


def texts_of(message: dict[str, Any]) -> Iterator[str]:
    """Every text of a message that the engine is given."""
    for key in ("role", "name", "content", "refusal"):
        if isinstance(message.get(key), str):
            yield message[key]
    for part in parts_of(message):
        if isinstance(part.get("text"), str):
            yield part["text"]
    if message.get("tool_calls"):
        yield msgspec.json.encode(message["tool_calls"]).decode()


def parts_of(message: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The parts of a multimodal message."""
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else ()


def image_tokens(part: dict[str, Any]) -> int:
    """A flat figure for a picture: its size is not looked at."""
    if part.get("type") != "image_url":
        return 0
    image = part.get("image_url")
    low = isinstance(image, dict) and image.get("detail") == "low"
    return IMAGE_LOW if low else IMAGE_HIGH


def encodable(text: str) -> str:
    """The text with lone surrogates replaced: they have no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
