"""Glue between messages and the queue of requests that nobody waits for."""

from collections.abc import Sequence

from penstock_common.contracts.queueing import BatchText, QueueText
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import delivery_was_repeated
from penstock_inference.subscribers.deps import Deps, router
from penstock_inference.subscribers.generation import bury


@router.on_batch(QueueText, size=64, within_ms=25)
async def queue_text(commands: Sequence[QueueText], deps: Deps) -> None:
    """Keep requests until it is their turn."""
    async with deps.database.transaction(commands) as tx:
        await deps.queue.take(tx)
    deps.wake_queue()


@router.on(BatchText)
async def batch_text(command: BatchText, deps: Deps) -> None:
    """Answer a queued request once, as any other; then it is another one's turn."""
    try:
        await deps.generator.handle(command.for_engine(), redelivered=delivery_was_repeated())
    finally:
        deps.wake_queue()


@router.on_dead(QueueText)
async def queue_text_dead(letter: DeadLetter, deps: Deps) -> None:
    """Record that a request could not be queued."""
    await bury(letter, QueueText, deps)


@router.on_dead(BatchText)
async def batch_text_dead(letter: DeadLetter, deps: Deps) -> None:
    """Record that a queued request could not be handled."""
    await bury(letter, BatchText, deps)
