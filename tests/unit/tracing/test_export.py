"""How spans leave a process, and what happens where they can't."""

import subprocess
import sys
import time

import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from penstock.platform.ports import free_ports
from penstock_common.settings import TraceSettings
from penstock_common.telemetry import FLUSH_SECONDS, exported_traces
from penstock_common.tracing.spans import Tracing, span
from tests.support.otlp import Collector
from tests.unit.tracing.conftest import Exporting, settings

MANY = 20_000
SERVICES = ("api", "inference", "billing", "worker", "scheduler", "indexer")


def counted(outcome: str) -> float:
    """The process's count of spans with an outcome."""
    return REGISTRY.get_sample_value("penstock_trace_spans_total", {"outcome": outcome}) or 0.0


def slowest(spans: int) -> float:
    """Seconds of the slowest of so many spans."""
    worst = 0.0
    for _ in range(spans):
        began = time.perf_counter()
        with span("work"):
            pass
        worst = max(worst, time.perf_counter() - began)
    return worst


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_without_endpoint_never_loads_the_sdk(service: str) -> None:
    """The code of a service, all of it imported, holds no exporter: it would take 7 MB."""
    program = f"import sys, penstock_{service}.app; print([m for m in sys.modules if m.startswith({PREFIXES!r})])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"


PREFIXES = ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf")


def test_what_waits_is_sent_at_the_end(receiver: Collector, exporting: Exporting) -> None:
    """A span of the last moment arrives, with who sent it and the headers of the settings."""
    with exporting(headers="x-scope=tenant%201,authorization=Bearer hunter2"), span("last"):
        pass
    (made,) = receiver.spans
    assert (made.service, made.name, made.kind) == ("penstock-test", "last", "INTERNAL")
    (headers,) = receiver.headers
    assert (headers["x-scope"], headers["authorization"]) == ("tenant 1", "Bearer hunter2")
    assert headers["content-encoding"] == "gzip"
    assert Tracing.tracer is None


def test_a_collector_that_is_away_slows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Spans are dropped beyond the queue, each costs what it always costs, and the stop takes its two seconds."""
    (port,) = free_ports(1)
    ended = counted("ended")
    with exported_traces("test", settings(endpoint=f"http://127.0.0.1:{port}")):
        assert slowest(MANY) < 5.0
        stopping = time.monotonic()
    assert time.monotonic() - stopping < FLUSH_SECONDS + 1
    assert counted("ended") - ended == MANY
    assert "opentelemetry" not in capfd.readouterr().err


def test_a_collector_that_hangs_slows_nothing(receiver: Collector, exporting: Exporting) -> None:
    """The same where it takes connections and does not answer."""
    receiver.delay = 30.0
    with exporting(timeout=30):
        assert slowest(MANY) < 5.0
        stopping = time.monotonic()
    assert time.monotonic() - stopping < FLUSH_SECONDS + 1


def test_a_collector_that_comes_back_is_sent_to_again(receiver: Collector, exporting: Exporting) -> None:
    """What it refused is lost; what comes after arrives."""
    receiver.status = 400
    with exporting():
        with span("lost"):
            pass
        receiver.wait(lambda: receiver.requests == 1)
        receiver.status = 200
        with span("kept"):
            pass
    assert [made.name for made in receiver.spans] == ["kept"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("endpoint", "collector:4318"), ("headers", "authorization"), ("headers", "=x"), ("sample_ratio", 2)],
)
def test_a_wrong_setting_stops_the_boot(name: str, value: object) -> None:
    """With the setting's name, and without the value of the one that is secret."""
    with pytest.raises(ValidationError) as refused:
        TraceSettings.model_validate({name: value})
    assert name in str(refused.value)


def test_headers_are_secret() -> None:
    """They often hold a key."""
    assert "hunter2" not in repr(TraceSettings.model_validate({"headers": "authorization=hunter2"}))
