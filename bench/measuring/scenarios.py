"""What is measured: unstreamed load at a few widths and shapes, many streams at once, and an idle platform."""

import os
import time
from collections.abc import Sequence

from measuring.bench import Bench, Measured, shares
from measuring.processes import CpuMeter, pss_mb

DEPLOYMENTS = 16


def unstreamed(bench: Bench, clients: int, models: str = "mock", options: Sequence[str] = ()) -> Measured:
    """Measure requests that are answered whole; latency is added to the mock's own, asked by one client."""
    window = (*options, "-d", f"{bench.windows.load_s}s")
    direct = bench.straight(bench.whole, "-c", "1", *window)
    bench.through(models, "-c", str(clients), *options, "-d", "1s")
    result, cpu = bench.measured(lambda: bench.through(models, "-c", str(clients), *window))
    return {
        "clients": clients,
        "requests": result["requests"],
        "requests_per_s": round(result["requests_per_s"], 1),
        "added_ms": {p: round(result["latency_ms"][p] - direct["latency_ms"][p], 2) for p in ("p50", "p95", "p99")},
        "direct_ms": direct["latency_ms"],
        "cpu_ms_per_request": shares(cpu["cpu_s"], 1e3 / result["requests"]),
        "others_cores": cpu["others_cores"],
    }


def prompts(bench: Bench) -> Measured:
    """Measure requests with prompts of 64 KiB."""
    return unstreamed(bench, 16, options=("-prompt-bytes", str(1 << 16)))


def deployments(bench: Bench) -> Measured:
    """Measure requests that go to many models in turn, each deployed once, one price each."""
    names = [f"mock-{number}" for number in range(DEPLOYMENTS)]
    for name in names:
        bench.add_model(name)
    return unstreamed(bench, 64, models=",".join(names))


def streamed(bench: Bench, options: Sequence[str] = ()) -> Measured:
    """Measure many streams at once, one token each 20 ms."""
    shape = (str(bench.windows.streams), "-stream", "-max-tokens", str(bench.windows.stream_tokens), *options)
    once = ("-c", *shape, "-n", shape[0])
    direct = bench.straight(bench.streaming, *once)
    bench.through("mock-20ms", "-c", "10", "-n", "10", "-stream", "-max-tokens", "20", *options)
    result, cpu = bench.measured(lambda: bench.through("mock-20ms", *once))
    return {
        "streams": bench.windows.streams,
        "tokens": result["completion_tokens"],
        "tokens_per_s": round(result["tokens_per_s"]),
        "share_of_direct": round(result["tokens_per_s"] / direct["tokens_per_s"], 3),
        "added_first_token_ms": round(result["first_token_ms"]["p50"] - direct["first_token_ms"]["p50"], 1),
        "cpu_us_per_token": shares(cpu["cpu_s"], 1e6 / result["completion_tokens"]),
        "others_cores": cpu["others_cores"],
    }


def idle(bench: Bench) -> Measured:
    """Measure memory, and the CPU of doing nothing."""
    listed = bench.platform.processes()
    time.sleep(1)  # what the question itself set going
    meter = CpuMeter.start(listed, [os.getpid()])
    time.sleep(bench.windows.idle_s)
    used, others = meter.read()
    return {
        "pss_mb": shares(pss_mb(listed), 1.0),
        "cpu_percent": shares(used, 100 / bench.windows.idle_s),
        "others_cores": round(others / bench.windows.idle_s, 2),
    }
