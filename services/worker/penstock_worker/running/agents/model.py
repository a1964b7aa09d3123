"""The model that agents speak to: `GenerateText` over the bus, so that no worker ever calls a provider."""

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from penstock_worker.domain.calls import Call
from penstock_worker.domain.progress import MODEL_ANSWERED
from penstock_worker.ports import Journal
from penstock_worker.running.agents.chat import chat_body, response_of


class BusModel(Model[None]):
    """A model of the catalogue, as one agent of a step asks it. Turn n has the same id in every process."""

    def __init__(self, model: str, agent: str, journal: Journal, seconds: float) -> None:
        super().__init__()
        self._model, self._agent, self._journal, self._seconds = model, agent, journal, seconds

    @property
    def model_name(self) -> str:
        """The catalogue's name."""
        return self._model

    @property
    def system(self) -> str:
        """Who is asked, in OpenTelemetry's terms."""
        return "penstock"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The model's next answer, from the journal where it is there. Raises ModelRefused, ModelUnavailable."""
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        turn = sum(isinstance(message, ModelResponse) for message in messages) + 1
        body = chat_body(messages, parameters)

        async def ask(call: Call) -> object:
            return await self._journal.ask(call, self._model, body, self._seconds)

        answer = await self._journal.once(f"{self._agent}.turn-{turn}", MODEL_ANSWERED, ask)
        return response_of(answer, self._model)
