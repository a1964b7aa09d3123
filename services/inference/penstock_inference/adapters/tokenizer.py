"""`Tokenizer`: counts off the event loop, flagged as estimated."""

import asyncio

from penstock_common.contracts.generation import Measure, Tokens
from penstock_inference.domain.tokens import count_prompt, count_tokens


class Estimator:
    """Counts with one tokenizer whatever the model: an estimate, and said to be one."""

    async def estimate(self, body: dict[str, object], text: str) -> Tokens:
        """Prompt and completion tokens."""
        prompt, completion = await asyncio.to_thread(lambda: (count_prompt(body), count_tokens(text)))
        return Tokens(prompt, completion, measure=Measure.ESTIMATED)
