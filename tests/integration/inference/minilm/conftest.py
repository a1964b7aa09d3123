"""The embedding process, begun at its first use."""

from collections.abc import AsyncIterator

import pytest

from penstock_inference.adapters.engines.minilm.embedder import Embedder


@pytest.fixture
async def embedder() -> AsyncIterator[Embedder]:
    """Patient enough for a busy machine."""
    embedder = Embedder(patience=60.0)
    yield embedder
    await embedder.close()
