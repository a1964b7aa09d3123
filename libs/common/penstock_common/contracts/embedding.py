"""Commands that ask inference for the vectors of texts.

Each lane is a topic of its own, so that a flood of documents waits behind itself alone. What holds for one generation
holds for these: one row decides, one end is recorded, an answer is sent again to whoever asks again.
"""

from penstock_common.contracts.generation import GenerateText


class EmbedTexts(GenerateText, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody waits for these vectors; `sealed` holds the JSON body of OpenAI's embeddings request."""


class VectorizeTexts(GenerateText, frozen=True, kw_only=True, omit_defaults=True):
    """Vectors of document chunks, in the background: never ahead of what somebody waits for."""
