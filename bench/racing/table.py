"""The race's table, in Markdown with its conditions, and its place in the README."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring.tools import BenchError
from racing.rounds import CLIENTS, PERCENTILES, Figures, Shape

BEGIN, END = "<!-- race:begin -->", "<!-- race:end -->"
NOISE_CORES = 0.2
DASH = " / "


@dataclass(frozen=True)
class Conditions:
    """Where and how it was measured."""

    date: str
    shape: Shape
    cores: int
    processor: str
    versions: Sequence[str]


def markdown(medians: Mapping[str, Figures], conditions: Conditions) -> str:
    """One column a contestant, the conditions below."""
    engine = medians["engine"]
    contestants = {name: figures for name, figures in medians.items() if name != "engine"}
    lines = [f"| | {' | '.join(contestants)} |", "|---" * (len(contestants) + 1) + "|"]
    for label, names in rows(conditions.shape):
        cells = (DASH.join(shown(figures[name]) for name in names) for figures in contestants.values())
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", told(conditions, engine), *noise(contestants)])


def rows(shape: Shape) -> list[tuple[str, list[str]]]:
    """What each row is called, and the figures that it shows."""
    widths = DASH.join(str(clients) for clients in CLIENTS)
    added = DASH.join(PERCENTILES)
    streams = f"{shape.streams} streams of {shape.stream_tokens} tokens"
    return [
        (f"CPU a request, {widths} clients, ms", [f"{n} clients CPU ms" for n in CLIENTS]),
        *(
            (
                f"added latency {added}, {clients} client{'s' if clients > 1 else ''}, ms",
                [f"{clients} clients added {p} ms" for p in PERCENTILES],
            )
            for clients in CLIENTS
        ),
        (f"requests a second, {widths} clients", [f"{n} clients requests/s" for n in CLIENTS]),
        (f"CPU a streamed token, {streams}, µs", ["token CPU µs"]),
        ("tokens a second, the same", ["tokens/s"]),
        ("added time to first token p50, the same, ms", ["added first token ms"]),
        ("memory idle / after the load, MB", ["memory idle MB", "memory after MB"]),
    ]


def shown(value: float) -> str:
    """Two or three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def told(conditions: Conditions, engine: Figures) -> str:
    """The conditions in words."""
    shape = conditions.shape
    rounds = f"{shape.rounds} interleaved round{'s' if shape.rounds > 1 else ''}, medians"
    return (
        f"`make race` on {conditions.date}: {conditions.cores} cores ({conditions.processor}), {rounds}, "
        f"{shape.load_s} s a load; {', '.join(conditions.versions)}. Load generator, mock engine and all contestants "
        "share the machine, one under load at a time; CPU and memory (PSS) count every process, bus and database "
        "included. The engine answers at once and streams a token each 20 ms; asked directly it streams "
        f"{shown(engine['tokens/s'])} tokens a second. Added latency is beyond the engine asked directly by one "
        "client. Penstock runs as `make up` starts it, one process a service: each request is a durable command, one "
        "row and ledger postings in PostgreSQL with fsync, all reconciled after the race. LiteLLM runs with a master "
        "key, without database, budgets and limits: nothing of a request outlives its process."
    )


def noise(contestants: Mapping[str, Figures]) -> list[str]:
    """A sentence where strangers used the machine meanwhile."""
    most = max(value for figures in contestants.values() for name, value in figures.items() if "others" in name)
    return [f"Other programs used up to {most:.1f} cores meanwhile."] if most > NOISE_CORES else []


def machine() -> str:
    """What the processor calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def go_version() -> str:
    """The compiler of the instruments, such as `Go 1.24.1`."""
    said = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
    return f"Go {said.strip().removeprefix('go')}"


def place(document: Path, table: str) -> None:
    """Put the table between its markers. Raises BenchError where the document has none."""
    before, _, after = parts(document)
    document.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def parts(document: Path) -> tuple[str, str, str]:
    """What lies before, between and after the markers. Raises BenchError where they are not there, once each."""
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise BenchError(f"{document} has no place for the table: add the lines {BEGIN} and {END}, once each")
    before, _, rest = text.partition(BEGIN)
    between, _, after = rest.partition(END)
    return before, between, after
