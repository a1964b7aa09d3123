"""One order of several: reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009)."""

from collections.abc import Iterable, Sequence

K = 60
"""The paper's constant: how little the very first places count more than those behind them."""

Ranked = Sequence[tuple[int, float]]
"""(chunk id, score), the best first."""


def fused(rankings: Iterable[Ranked]) -> list[tuple[int, float]]:
    """All that any ranking holds, each with the sum of 1/(60 + rank); the best first, ties by id."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (id_, _) in enumerate(ranking, start=1):
            scores[id_] = scores.get(id_, 0.0) + 1 / (K + rank)
    return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))
