"""What `penstock up` refuses before it starts anything."""

import pytest
from typer.testing import CliRunner

from penstock.main import app


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "grpc://127.0.0.1:4317", ""])
def test_a_collector_is_named_by_its_http_address(url: str) -> None:
    """Anything else ends with a sentence that shows how it is written."""
    result = CliRunner().invoke(app, ["up", "--otlp", url])
    assert result.exit_code == 2
    assert "http://127.0.0.1:4318" in result.output
