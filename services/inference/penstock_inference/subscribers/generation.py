"""Glue between messages and generations."""

from penstock_common.contracts.embedding import EmbedTexts, VectorizeTexts
from penstock_common.contracts.generation import CancelGeneration, GenerateText
from penstock_common.contracts.stream import Failure
from penstock_common.errors import ContractViolated
from penstock_common.messaging.deadletter import DeadLetter
from penstock_common.messaging.delivery import delivery_was_repeated
from penstock_inference.domain.ending import Undeliverable
from penstock_inference.subscribers.deps import Deps, router


@router.on(GenerateText)
async def generate_text(command: GenerateText, deps: Deps) -> None:
    """Answer a request once. Its own row stands in for the inbox: a first execution writes nothing before its end."""
    await deps.interactive.handle(command, redelivered=delivery_was_repeated())


@router.on(EmbedTexts)
async def embed_texts(command: EmbedTexts, deps: Deps) -> None:
    """Give the vectors of texts that somebody waits for."""
    await deps.embeddings.handle(command, redelivered=delivery_was_repeated())


@router.on(VectorizeTexts)
async def vectorize_texts(command: VectorizeTexts, deps: Deps) -> None:
    """Give the vectors of document chunks, on a lane of their own."""
    await deps.generator.handle(command, redelivered=delivery_was_repeated())


@router.on_dead(GenerateText)
async def generate_text_dead(letter: DeadLetter, deps: Deps) -> None:
    """Record that a request could not be handled, and tell its client."""
    await bury(letter, GenerateText, deps)


@router.on_dead(EmbedTexts)
async def embed_texts_dead(letter: DeadLetter, deps: Deps) -> None:
    """Record that texts could not be embedded, and tell who waits."""
    await bury(letter, EmbedTexts, deps)


@router.on_dead(VectorizeTexts)
async def vectorize_texts_dead(letter: DeadLetter, deps: Deps) -> None:
    """Record that chunks could not be embedded, and tell who waits."""
    await bury(letter, VectorizeTexts, deps)


async def bury(letter: DeadLetter, contract: type[GenerateText], deps: Deps) -> None:
    """End a command that could not be handled as failed."""
    try:
        command = letter.decode(contract)
    except ContractViolated:  # nobody can be told: the letter itself stays for the operator
        return
    failure = Failure(Undeliverable.code, Undeliverable.fault.value, Undeliverable().message)
    await deps.generator.bury(command, failure)


@router.on(CancelGeneration)
async def cancel_generation(cancel: CancelGeneration, deps: Deps) -> None:
    """Mark the request as stopped, for whoever begins or takes over later; who runs it hears it by broadcast."""
    async with deps.database.transaction(cancel) as tx:
        await deps.stops.mark(tx.connection, cancel)
    deps.wake_queue()  # what was stopped may be waiting there
