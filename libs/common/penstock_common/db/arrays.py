"""Rows that travel as one array a column: a statement takes any number of them in one plan."""

from collections.abc import Iterable


def arrays_of(parameters: Iterable[str], kinds: Iterable[str]) -> str:
    """Parameters as what `unnest` takes, one for each column's type."""
    return ", ".join(f"cast({given} as {kind}[])" for given, kind in zip(parameters, kinds, strict=True))
