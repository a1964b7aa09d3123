"""POST /v1/embeddings."""

import asyncio

from penstock_api.domain.embeddings_format import embeddings
from penstock_api.domain.embeddings_request import EmbeddingsForm, embeddings_form
from penstock_api.ports.generations import Generation
from penstock_api.routes.answering import LARGE_BODY, AnsweringRoute, Checked, ended
from penstock_api.routes.reply import Reply
from penstock_common.contracts.embedding import EmbedTexts

PATH = "/v1/embeddings"


class CreateEmbeddings(AnsweringRoute[EmbeddingsForm]):
    """Vectors of texts: accepted, recorded and charged as any other request."""

    path = PATH
    contract = EmbedTexts
    capability = "embeddings"

    def check(self, body: bytes) -> Checked[EmbeddingsForm]:
        """The form that a body asks for. Raises InvalidRequest."""
        return Checked(*embeddings_form(body))

    async def relay(self, reply: Reply, generation: Generation, form: EmbeddingsForm) -> None:
        """Answer the client; a large answer is rendered beside the loop."""
        end = await ended(generation)
        body = generation.answer.body

        def rendered() -> bytes:
            return embeddings(body, end, form.model, as_base64=form.base64)

        await reply.whole(rendered() if len(body) < LARGE_BODY else await asyncio.to_thread(rendered))
