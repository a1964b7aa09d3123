"""The durable steps of one delivery to inference; what clients are told and engines are asked among them."""

from typing import Any

from sqlalchemy import TextClause

from penstock_common.contracts.stream import Beat, Ended, unpack
from penstock_inference.adapters import statements
from penstock_inference.app import App
from penstock_inference.domain.catalogue import Model
from tests.support import points

NAMED: dict[object, str] = {
    id(value): name.lower() for name, value in vars(statements).items() if isinstance(value, TextClause)
} | dict.fromkeys((statements.FINISH, statements.FINISH_ONE), "finish")


class Points(points.Points):
    """Of an inference process; its own is the request that it was given."""

    def watch_app(self, app: App, model: Model) -> None:
        """Count what an app does; `model` is one of the simulated engine."""
        self.names = NAMED
        self.watch(app.foundation.database, app.bus)
        self.around(app.bus, "send", self._sent)
        self.around(app.registry, "on_cancel", lambda cancel: "stop" if str(cancel.request_id) == self.own else None)
        record: Any = app.engines.for_model(model)
        self.around(record.record, "open", lambda *_: "engine call")

    def _sent(self, _: str, key: str, body: bytes) -> str | None:
        if key != self.own:
            return None
        frames = unpack(body)
        if any(isinstance(frame, Ended) for frame in frames):
            return "end sent"
        return None if all(isinstance(frame, Beat) for frame in frames) else "text sent"
