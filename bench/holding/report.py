"""The table that is printed."""

from collections.abc import Iterator

from holding.hold import Held, Shares

API_MB = 1.5 * (1 << 30) / 1e6
"""The goal: 1.5 GiB of proportional set size in all api processes together."""
NOISE_CORES = 0.2


def missed(held: Held) -> bool:
    """Whether api was larger than it may be."""
    return held.api_mb >= API_MB


def table(held: Held) -> str:
    """What was held, and what it took."""
    return "\n".join(f"{name:<50}{value}".rstrip() for name, value in rows(held))


def rows(held: Held) -> Iterator[tuple[str, str]]:
    """Label and figure of each line."""
    crowd, load = held.crowd, held.load
    yield "streams open at once", f"{crowd.streams:,}, a token each {crowd.gap_ms} ms; all whole, charged once"
    yield "all of them open for, s", f"{load['all_open_s']:.0f} (asked: {crowd.hold_s})"
    yield "time to first token p50 / p99, ms", ranks(load["first_token_ms"], less=crowd.gap_ms)
    yield "longest silence of a stream p50 / p99 / most, ms", ranks(load["longest_silence_ms"], "max")
    goal = "MISSED" if missed(held) else "goal"
    yield "memory of api (PSS), MB", f"{held.api_mb:,.0f} ({goal}: < {API_MB:,.0f})"
    yield "memory (PSS), MB", by_role(held.held_mb, ",.0f")
    per_stream = {role: 1e3 * (mb - held.idle_mb.get(role, 0.0)) / crowd.streams for role, mb in held.held_mb.items()}
    yield "memory of a stream, kB", by_role(per_stream, ".1f")
    yield "CPU, cores", by_role(held.cores, ".2f")
    yield "CPU of a stream and token, µs", by_role({r: held.cost_us(c) for r, c in held.cores.items()}, ".1f")
    if held.others_cores > NOISE_CORES:
        yield "other programs", f"used {held.others_cores:.1f} cores meanwhile"


def ranks(percentiles: Shares, *more: str, less: float = 0.0) -> str:
    """Percentiles side by side; `less` is what the engine's own pace accounts for."""
    return " / ".join(f"{percentiles[name] - less:,.0f}" for name in ("p50", "p99", *more))


def by_role(shares: Shares, form: str) -> str:
    """The total, and its parts from the largest on."""
    parts = sorted(shares.items(), key=lambda share: -share[1])
    return f"{sum(shares.values()):{form}} ({', '.join(f'{role} {value:{form}}' for role, value in parts)})"
