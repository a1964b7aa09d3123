"""The table that is printed: one line a figure, one column a bus."""

from collections.abc import Mapping
from dataclasses import replace

from measuring.bench import Measured
from measuring.figures import Figure, figures

NOISE_CORES = 0.2
WIDTH = 56
REFERENCE, SLACK = "nats", 2.0
"""Goals are those of NATS; another bus may be so many times as expensive."""


def table(results: dict[str, dict[str, Measured]]) -> str:
    """Give the table of {bus: {scenario: measurements}}, the parts of each total, and every missed goal."""
    by_bus = {bus: {figure.name: figure for figure in figures(measured)} for bus, measured in results.items()}
    by_bus = {bus: relaxed(bus, found, by_bus.get(REFERENCE, {})) for bus, found in by_bus.items()}
    names = dict.fromkeys(name for found in by_bus.values() for name in found)
    lines = [f"{'':{WIDTH}}{'goal':>9}" + "".join(f"{bus:>12}{'':8}" for bus in by_bus)]
    for name in names:
        row = [found.get(name) for found in by_bus.values()]
        lines.append(f"{name:{WIDTH}}{_goal(next(filter(None, row))):>9}" + "".join(map(_cell, row)))
    for bus, found in by_bus.items():
        lines += ["", f"by process, {bus}"] + [f"  {f.name}: {f.parts}" for f in found.values() if f.parts]
        lines += [f"  {note}" for note in _notes(results[bus])]
    missed = [f"MISSED {f.name}, {bus}: {f.value:g} {'<' if f.floor else '>'} {f.goal:g}; most of it: {_most(f)}"
              for bus, found in by_bus.items() for f in found.values() if f.missed]  # fmt: skip
    return "\n".join([*map(str.rstrip, lines), "", *(missed or ["every goal that was measured is met"])])


def relaxed(bus: str, found: Mapping[str, Figure], reference: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures with the goals of their bus: those of NATS, or some times the NATS figure of the same run."""
    if bus == REFERENCE:
        return dict(found)
    factors = {name: 1 / SLACK if figure.floor else SLACK for name, figure in found.items()}
    against = {name: reference[name].value if name in reference else f.goal for name, f in found.items()}
    goals = {
        name: goal * factors[name]
        for name, goal in against.items()
        if goal is not None and found[name].goal is not None
    }
    return {name: replace(figure, goal=goals.get(name)) for name, figure in found.items()}


def _goal(figure: Figure) -> str:
    return "" if figure.goal is None else f"{'≥' if figure.floor else '≤'} {figure.goal:g}"


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return " " * 20
    return f"{figure.value:12,.5g}{' MISSED' if figure.missed else '':8}"


def _most(figure: Figure) -> str:
    return ", ".join(figure.parts.split(", ")[:2]) or "see CPU a request"


def _notes(measured: dict[str, Measured]) -> list[str]:
    return [
        f"{name}: other programs used {m['others_cores']:g} cores meanwhile; rates and latencies suffered"
        for name, m in measured.items()
        if m.get("others_cores", 0.0) > NOISE_CORES
    ]
