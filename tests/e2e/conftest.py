"""One platform a bus for the tests that leave it alive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.keeper import virtual_host
from tests.support.platform import Platform, running


@pytest.fixture(scope="session")
def reachable_folder() -> Iterator[Path]:
    """A folder that the unprivileged PostgreSQL user can reach, unlike pytest's own."""
    with TemporaryDirectory(prefix="penstock-e2e-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="package", params=["nats", "rabbitmq"])
def platform(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A running platform on each bus, for as long as its tests last: an idle one takes a tenth of a core."""
    with bus_options(request.param) as options, running(Platform(reachable_folder / request.param, options)) as made:
        yield made


@contextmanager
def bus_options(bus: str) -> Iterator[list[str]]:
    """What `penstock up` is told for a bus: nothing for the embedded one."""
    if bus == "nats":
        yield []
        return
    with virtual_host() as url:
        yield ["--bus", url]
