"""What an embedding process has to do, in batches so small that nobody waits long behind another."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

from penstock_inference.adapters.engines.minilm.bert import WIDTH
from penstock_inference.adapters.engines.minilm.weights import Array

BATCH_TOKENS = 512  # padding included: about a tenth of a second on one core


@dataclass(frozen=True, slots=True)
class Batch:
    """Some texts of one job."""

    job: "Job"
    places: list[int]

    @property
    def tokens(self) -> list[list[int]]:
        """Their token ids."""
        return [self.job.tokens[place] for place in self.places]


class Job:
    """The texts of one request, and the vectors that they have so far."""

    def __init__(self, id_: int, tokens: list[list[int]]) -> None:
        self.id, self.tokens = id_, tokens
        self.vectors: Array = np.zeros((len(tokens), WIDTH), dtype=np.float32)
        self.batches = deque(batched(tokens))
        self.left = len(self.batches)

    def take(self, batch: Batch, vectors: Array) -> bool:
        """Put a batch's vectors in their places; True once all are there."""
        self.vectors[batch.places] = vectors
        self.left -= 1
        return self.left == 0


class Shelf:
    """The jobs, which take turns. One thread adds, another takes."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()

    def add(self, job: Job) -> None:
        """One more job."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def drop(self, id_: int) -> None:
        """Forget a job that nobody waits for."""
        with self._changed:
            self._jobs = deque(job for job in self._jobs if job.id != id_)

    def next(self) -> Batch:
        """The next batch; waits for one."""
        with self._changed:
            while not self._jobs:
                self._changed.wait()
            job = self._jobs.popleft()
            places = job.batches.popleft()
            if job.batches:
                self._jobs.append(job)
            return Batch(job, places)


def batched(tokens: list[list[int]]) -> list[list[int]]:
    """The places of the texts in batches, texts of like length together; a batch holds 512 tokens, or one text."""
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(tokens)), key=lambda place: -len(tokens[place])):
        if batches and (len(batches[-1]) + 1) * longest <= BATCH_TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
            longest = len(tokens[place])
    return batches
