"""The table that is printed: one line a figure, one column a bus."""

from measuring.figures import Figure, figures
from measuring.scenarios import Measured

NOISE_CORES = 0.2
WIDTH = 48


def table(results: dict[str, dict[str, Measured]]) -> str:
    """Give the table of {bus: {scenario: measurements}}, the parts of each total, and every missed goal."""
    by_bus = {bus: list(figures(measured)) for bus, measured in results.items()}
    lines = [f"{'':{WIDTH}}{'goal':>8}" + "".join(f"{bus:>12}{'':8}" for bus in by_bus)]
    for row in zip(*by_bus.values(), strict=True):
        goal = f"≤ {row[0].goal:g}" if row[0].goal is not None else ""
        lines.append(f"{row[0].name:{WIDTH}}{goal:>8}" + "".join(map(_cell, row)))
    for bus, found in by_bus.items():
        lines += ["", f"by process, {bus}"] + [f"  {f.name}: {f.parts}" for f in found if f.parts]
        lines += [f"  {note}" for note in _notes(results[bus])]
    missed = [f"MISSED {f.name}, {bus}: {f.value:g} > {f.goal:g}; most of it: {_most(f)}"
              for bus, found in by_bus.items() for f in found if f.missed]  # fmt: skip
    return "\n".join([*map(str.rstrip, lines), "", *(missed or ["every goal that was measured is met"])])


def _cell(figure: Figure) -> str:
    return f"{figure.value:12,.5g}{' MISSED' if figure.missed else '':8}"


def _most(figure: Figure) -> str:
    return ", ".join(figure.parts.split(", ")[:2]) or "see CPU a request"


def _notes(measured: dict[str, Measured]) -> list[str]:
    return [
        f"{name}: other programs used {m['others_cores']:g} cores meanwhile; rates and latencies suffered"
        for name, m in measured.items()
        if m["others_cores"] > NOISE_CORES
    ]
