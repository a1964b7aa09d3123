"""The simulated engine's own count of what it produced, made apart from the platform's records.

One file a process, one JSON object a line, appended with a single write each: what was written survives the process.
"""

import os
import time
from pathlib import Path

from penstock_inference.ports import EngineCall

BLOCK = 32
"""Tokens announced at a time: a killed call produced at most what its last count says, and no more than 32 less."""


class Record:
    """The file of this process, `<pid>-<start in Unix milliseconds>.jsonl`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{os.getpid()}-{time.time_ns() // 1_000_000}.jsonl"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

    def open(self, call: EngineCall, prompt_tokens: int, continued: int = 0) -> "Entry":
        """Begin a call; the tokens of a beginning that it continues count as handed out."""
        entry = Entry(self, call, prompt_tokens, continued)
        self.write(entry.opening())
        return entry

    def whole(self, call: EngineCall, prompt_tokens: int, completion_tokens: int) -> None:
        """A call that is answered at once."""
        entry = Entry(self, call, prompt_tokens)
        self.write(entry.opening() + entry.counting(completion_tokens) + entry.closing(completion_tokens))

    def write(self, lines: str) -> None:
        """Append whole lines."""
        os.write(self._file, lines.encode())

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)


class Entry:
    """One call."""

    __slots__ = ("_continued", "_head", "_model", "_prompt", "_record")

    def __init__(self, record: Record, call: EngineCall, prompt_tokens: int, continued: int = 0) -> None:
        self._record, self._model, self._prompt, self._continued = record, call.model.name, prompt_tokens, continued
        self._head = f'"request_id":"{call.request_id}","attempt":{call.attempt}'

    def count(self, completion_tokens: int) -> None:
        """Announce how many tokens will have been handed out after the next block."""
        self._record.write(self.counting(completion_tokens))

    def close(self, completion_tokens: int) -> None:
        """The exact number handed out."""
        self._record.write(self.closing(completion_tokens))

    def opening(self) -> str:
        """The first line of a call."""
        model = f'"model":"{self._model}","prompt_tokens":{self._prompt},"continued_tokens":{self._continued}'
        return f'{{"event":"open",{self._head},{model},"at":{time.time():.3f}}}\n'

    def counting(self, tokens: int) -> str:
        """A line that announces tokens."""
        return f'{{"event":"count",{self._head},"completion_tokens":{self._continued + tokens}}}\n'

    def closing(self, tokens: int) -> str:
        """The last line of a call."""
        counts = f'"prompt_tokens":{self._prompt},"completion_tokens":{self._continued + tokens}'
        return f'{{"event":"close",{self._head},{counts}}}\n'
