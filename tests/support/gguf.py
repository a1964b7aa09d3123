"""A tiny llama in a GGUF file: random weights and every byte in its vocabulary. A real engine runs it.

The format is version 3 of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, all numbers little-endian.
"""

import random
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path

CONTEXT = 1 << 17  # tokens
WIDTH, HEADS, LAYERS, FORWARD = 64, 4, 2, 128
ALIGNMENT = 32  # bytes
SPREAD = 0.2

UNKNOWN, CONTROL, NORMAL, BYTE = 2, 3, 1, 6
SPECIAL = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
WORDS = ("the", "of", "water", "gate", "flow", "meter", "stream", "a", "and", "to", "in", "pipe", "is", "runs", "down")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'-:;"
VOCABULARY = [*SPECIAL, *(f"\u2581{word}" for word in WORDS), "\u2581", *LETTERS]
"""In the order of their ids; \u2581 stands for a space."""

KINDS = ((str, 8), (bool, 7), (float, 6), (int, 4))
INT32, ARRAY = 5, 9

Scalar = int | float | bool | str
Value = Scalar | list[str] | list[float] | list[int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """Named values; the shape has its innermost dimension first."""

    name: str
    shape: tuple[int, ...]
    values: "array[float]"


def write_model(path: Path, seed: int = 7) -> Path:
    """Write the model, half a megabyte; the same seed gives the same bytes."""
    tensors = _tensors(random.Random(seed))
    facts = _facts()
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)))
    for name, fact in facts.items():
        head += _text(name) + _typed(fact)
    offset = 0
    for tensor in tensors:
        dimensions = len(tensor.shape)
        head += _text(tensor.name) + struct.pack(f"<I{dimensions}QIQ", dimensions, *tensor.shape, 0, offset)
        offset += _aligned(4 * len(tensor.values))
    body = b"".join(_padded(tensor.values.tobytes()) for tensor in tensors)
    path.write_bytes(_padded(bytes(head)) + body)
    return path


def _facts() -> dict[str, Value]:
    ordinary = len(VOCABULARY) - len(SPECIAL)
    return {
        "general.architecture": "llama",
        "general.name": "penstock-tiny",
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.vocab_size": len(VOCABULARY),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": VOCABULARY,
        "tokenizer.ggml.scores": [0.0] * len(SPECIAL) + [-float(rank) for rank in range(ordinary)],
        "tokenizer.ggml.token_type": [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * ordinary,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
    }


def _tensors(chance: random.Random) -> list[Tensor]:
    def noise(name: str, *shape: int) -> Tensor:
        count = shape[0] * shape[1]
        return Tensor(name, shape, array("f", (chance.gauss(0.0, SPREAD) for _ in range(count))))

    def ones(name: str) -> Tensor:
        return Tensor(name, (WIDTH,), array("f", [1.0] * WIDTH))

    tensors = [noise("token_embd.weight", WIDTH, len(VOCABULARY)), ones("output_norm.weight")]
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        tensors += [ones(f"{block}{name}_norm.weight") for name in ("attn", "ffn")]
        tensors += [noise(f"{block}attn_{name}.weight", WIDTH, WIDTH) for name in ("q", "k", "v", "output")]
        tensors += [noise(f"{block}ffn_{name}.weight", WIDTH, FORWARD) for name in ("gate", "up")]
        tensors.append(noise(f"{block}ffn_down.weight", FORWARD, WIDTH))
    output, unsaid = noise("output.weight", WIDTH, len(VOCABULARY)), WIDTH * len(SPECIAL)
    output.values[:unsaid] = array("f", [0.0] * unsaid)  # neither raw bytes nor an early end
    return [*tensors, output]


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Value) -> bytes:
    """A value behind the number of its type."""
    if not isinstance(value, list):
        return struct.pack("<I", _kind(value)) + _plain(value)
    kind = INT32 if isinstance(value[0], int) else _kind(value[0])  # unsigned numbers stand alone only
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(map(_plain, value))


def _kind(value: Scalar) -> int:
    return next(kind for type_, kind in KINDS if isinstance(value, type_))


def _plain(value: Scalar) -> bytes:
    match value:
        case str():
            return _text(value)
        case bool():
            return struct.pack("<?", value)
        case float():
            return struct.pack("<f", value)
        case _:
            return struct.pack("<I", value)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _padded(data: bytes) -> bytes:
    return data + bytes(_aligned(len(data)) - len(data))
