"""The embedding process dies, hangs, idles and is flooded; whoever asks gets vectors or a plain no."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from penstock_inference.adapters.engines.minilm.embedder import Embedder
from penstock_inference.adapters.engines.minilm.frames import Ask, TooLong, Vectors
from penstock_inference.domain.errors import EngineFailed, EngineOverloaded, EngineUnreachable

LONG = "river " * 250
VECTOR = 384 * 4


def asked(texts: int = 1, text: str = "water") -> Ask:
    """Texts to embed."""
    return Ask(0, [text] * texts, 256, cuts=False, most_together=10**6)


async def begun(embedder: Embedder) -> psutil.Process:
    """The process once it lives."""
    while embedder.pid is None:
        await asyncio.sleep(0.01)
    return psutil.Process(embedder.pid)


async def test_it_answers_what_was_asked(embedder: Embedder) -> None:
    """As many vectors as texts, and their tokens with the model's two marks."""
    found = await embedder.embed(asked(3))
    assert isinstance(found, Vectors)
    assert (len(found.data), found.tokens) == (3 * VECTOR, 9)
    too_long = await embedder.embed(Ask(0, ["water", "river " * 300], 256, cuts=False, most_together=10**6))
    assert too_long == TooLong(too_long.id, 1, 302)


async def test_it_gives_way_and_knows_no_secrets(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread of arithmetic behind the chats; the service's passwords are not in its environment."""
    monkeypatch.setenv("PENSTOCK_INFERENCE_DATABASE__URL", "postgresql://user:password@host/db")
    await embedder.embed(asked())
    process = await begun(embedder)
    assert process.nice() >= 2
    environment = Path(f"/proc/{process.pid}/environ").read_text()
    assert "password" not in environment
    assert "OPENBLAS_NUM_THREADS=1" in environment


async def test_killed_at_work_it_is_asked_again(embedder: Embedder) -> None:
    """Every question is answered."""
    work = asyncio.gather(*(embedder.embed(asked(10, LONG)) for _ in range(2)))
    first = await begun(embedder)
    await asyncio.sleep(1.0)
    os.kill(first.pid, signal.SIGKILL)
    found = await work
    assert [len(each.data) for each in found if isinstance(each, Vectors)] == [10 * VECTOR] * 2
    assert embedder.pid != first.pid


async def test_what_kills_it_is_given_up() -> None:
    """After the third process."""
    embedder = Embedder([sys.executable, "-c", "import sys; sys.stdin.buffer.read(9); sys.exit(3)"])
    with pytest.raises(EngineFailed, match="3 times"):
        await embedder.embed(asked())
    await embedder.close()


async def test_a_process_that_hangs_is_replaced() -> None:
    """Nobody waits for ever for what gives no sign of life."""
    embedder = Embedder([sys.executable, "-c", "import time; time.sleep(60)"], patience=0.2)
    with pytest.raises(EngineFailed):
        await embedder.embed(asked())
    await embedder.close()


async def test_idle_it_gives_its_memory_back() -> None:
    """And begins anew when it is needed."""
    embedder = Embedder(patience=60.0, idle=0.2)
    first = asyncio.create_task(embedder.embed(asked()))
    process = await begun(embedder)
    await first
    await asyncio.to_thread(process.wait, 20)
    assert isinstance(await embedder.embed(asked()), Vectors)
    await embedder.close()


async def test_what_nobody_waits_for_is_dropped(embedder: Embedder) -> None:
    """A cancelled request of minutes holds up nothing."""
    forever = asyncio.create_task(embedder.embed(asked(2048, LONG)))
    await begun(embedder)
    await asyncio.sleep(0.5)
    forever.cancel()
    await asyncio.gather(forever, return_exceptions=True)
    process = await begun(embedder)
    await embedder.embed(asked())
    used = process.cpu_times().user
    await asyncio.sleep(1.0)
    assert process.cpu_times().user - used < 0.5


async def test_a_small_question_does_not_wait_for_a_large_one(embedder: Embedder) -> None:
    """They take turns."""
    large = asyncio.create_task(embedder.embed(asked(400, LONG)))
    await embedder.embed(asked())
    assert not large.done()
    large.cancel()


async def test_too_much_at_once_is_refused(embedder: Embedder) -> None:
    """With a 429; what waits already is not harmed."""
    first = asyncio.create_task(embedder.embed(asked(16_000)))
    await asyncio.sleep(0)
    with pytest.raises(EngineOverloaded):
        await embedder.embed(asked(500))
    first.cancel()


async def test_closed_it_begins_no_other(embedder: Embedder) -> None:
    """What was under way ends with a word."""
    work = asyncio.create_task(embedder.embed(asked(500, LONG)))
    process = await begun(embedder)
    await embedder.close()
    with pytest.raises(EngineUnreachable):
        await work
    assert not psutil.pid_exists(process.pid)


async def test_it_ends_with_its_service(tmp_path: Path) -> None:
    """Nothing is left behind when its parent is killed."""
    told = tmp_path / "pid"
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(told)), stdout=asyncio.subprocess.DEVNULL, cwd=Path(__file__).parents[4]
    )
    try:
        while not told.exists():
            await asyncio.sleep(0.05)
        child = psutil.Process(int(told.read_text()))
    finally:
        parent.kill()
        await parent.wait()
    await asyncio.to_thread(psutil.wait_procs, [child], 30)
    assert not child.is_running()


PARENT = """
import asyncio
import os
import sys
from penstock_inference.adapters.engines.minilm.embedder import Embedder
from tests.integration.inference.minilm.test_embedder import asked

async def main():
    embedder = Embedder()
    await embedder.embed(asked())
    with open(sys.argv[1] + ".new", "w") as told:
        told.write(str(embedder.pid))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    await embedder.embed(asked(2048, text="river " * 250))

asyncio.run(main())
"""
