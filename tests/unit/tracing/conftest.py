"""A collector, and processes that send to it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from penstock_common.settings import BusSettings, DatabaseSettings, HttpSettings, ServiceSettings, TraceSettings
from penstock_common.telemetry import exported_traces
from tests.support.otlp import Collector, collector

Exporting = Callable[..., AbstractContextManager[None]]


def settings(**traces: object) -> ServiceSettings:
    """What a process is told, with these settings of traces."""
    return ServiceSettings(
        bus=BusSettings.model_validate({"url": "nats://127.0.0.1:1"}),
        database=DatabaseSettings.model_validate({"url": "postgresql://127.0.0.1:1/none"}),
        http=HttpSettings(port=0),
        traces=TraceSettings.model_validate(traces),
    )


@pytest.fixture
def receiver() -> Iterator[Collector]:
    """A collector that receives."""
    with collector() as made:
        yield made
        assert made.refused == []


@pytest.fixture
def exporting(receiver: Collector) -> Exporting:
    """A process's life: what it traced has arrived when the block has ended."""

    def export(**traces: object) -> AbstractContextManager[None]:
        return exported_traces("test", settings(**{"endpoint": receiver.url, **traces}))

    return export
