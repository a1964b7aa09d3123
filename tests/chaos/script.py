"""What the chaos engine says to an order: a function of the order alone, so that every answer can be foretold."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

MARK = "chaos "
STEMS = (
    "Wasser",
    "größer",
    "水路",
    "🌊",
    "naïve",
    'so-"called"',
    "back\\slash",
    "line\n",
    "e\u0301tude",
    "data: x",
    "{}",
)
CALL_NAME = "open_gate"
TOKENS_OF_PROMPT = 12


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks the engine for; it travels as the prompt."""

    key: str
    words: int
    """Words of each choice; a word is a token."""
    choices: int = 1
    calls_tool: bool = False
    """Whether choice 0 ends with a tool call."""
    pace: float = 5.0
    """Pieces a second."""
    padding: int = 0
    """Characters that each word is made longer by."""

    def prompt(self) -> str:
        """The user's message."""
        return MARK + msgspec.json.encode(self).decode()


@dataclass(frozen=True, slots=True)
class Piece:
    """One token: text of one channel of one choice."""

    choice: int
    channel: str
    """`content`, or `tool` for the arguments of the one call."""
    text: str


@dataclass(frozen=True, slots=True)
class Expected:
    """The whole answer to an order."""

    texts: dict[tuple[int, str], str]
    """Text by choice and channel."""
    finish: dict[int, str]
    call_id: str
    """Of the tool call; empty where there is none."""
    tokens: int


def order_of(prompt: str) -> Order:
    """The order in a prompt. Raises msgspec.MsgspecError, and ValueError for another prompt."""
    if not prompt.startswith(MARK):
        raise ValueError("this engine takes orders only")
    return msgspec.json.decode(prompt.removeprefix(MARK), type=Order)


def pieces_of(order: Order) -> list[Piece]:
    """The answer in the order in which the engine says it: the choices by turns, then the tool call."""
    talk = [Piece(choice, "content", _word(order, choice, n)) for n in range(order.words) for choice in _choices(order)]
    return [*talk, *_arguments(order)] if order.calls_tool else talk


def expected_of(order: Order) -> Expected:
    """What a client must have in the end."""
    texts: dict[tuple[int, str], str] = {}
    pieces = pieces_of(order)
    for piece in pieces:
        place = piece.choice, piece.channel
        texts[place] = texts.get(place, "") + piece.text
    return Expected(texts, finish_of(order), call_id_of(order), len(pieces))


def finish_of(order: Order) -> dict[int, str]:
    """The finish reason of each choice."""
    return {choice: "tool_calls" if order.calls_tool and choice == 0 else "stop" for choice in _choices(order)}


def call_id_of(order: Order) -> str:
    """The id of the tool call; empty where there is none."""
    return f"call_{order.key}" if order.calls_tool else ""


def _choices(order: Order) -> range:
    return range(order.choices)


def _word(order: Order, choice: int, number: int) -> str:
    """Different from its neighbours, so that one word too few or too many shows."""
    digest = hashlib.blake2s(f"{order.key}/{choice}/{number}".encode(), digest_size=4).digest()
    return f"{STEMS[digest[0] % len(STEMS)]}{number}.{digest.hex()}{'~' * order.padding} "


def _arguments(order: Order) -> Iterator[Piece]:
    """The call's arguments, split anywhere."""
    rest = msgspec.json.encode({"gate": order.key, "degrees": len(order.key), "why": "水 rises"}).decode()
    cuts = random.Random(order.key)
    while rest:
        length = cuts.randint(1, 7)
        yield Piece(0, "tool", rest[:length])
        rest = rest[length:]
