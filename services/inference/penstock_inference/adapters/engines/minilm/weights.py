"""Reads a safetensors file in place: its pages are shared by all processes, and only those that are used are loaded.

The format: https://huggingface.co/docs/safetensors. The library of that name copies what it reads.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


def read_weights(path: Path) -> dict[str, Array]:
    """Every float32 tensor of the file by its name, read-only."""
    pages = np.memmap(path, dtype=np.uint8, mode="r")
    begin = 8 + int.from_bytes(pages[:8].tobytes(), "little")
    header = json.loads(pages[8:begin].tobytes())
    found: dict[str, Array] = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = entry["data_offsets"]
            found[name] = pages[begin + start : begin + end].view(np.float32).reshape(entry["shape"])
    return found
