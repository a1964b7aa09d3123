"""One platform a bus for the tests that leave it alive."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.platform import Platform, running


@pytest.fixture(scope="session")
def reachable_folder() -> Iterator[Path]:
    """A folder that the unprivileged PostgreSQL user can reach, unlike pytest's own."""
    with TemporaryDirectory(prefix="penstock-e2e-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session", params=["nats", "rabbitmq"])
def platform(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A running platform on each bus."""
    options = [] if request.param == "nats" else ["--bus", request.getfixturevalue("rabbitmq_session_url")]
    with running(Platform(reachable_folder / request.param, options)) as platform:
        yield platform
