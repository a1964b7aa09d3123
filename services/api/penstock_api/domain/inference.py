"""Requests that are asked about by their ids."""

from penstock_common.errors import Fault, PenstockError


class InferenceNotFound(PenstockError):
    """This project has no such request; its id is the header `x-request-id` of the answer."""

    code = "api.inference_not_found"
    fault = Fault.MISSING


class AnswerUnfinished(PenstockError):
    """The answer is not complete yet; ask again, or read it as it grows at `/stream`."""

    code = "api.answer_unfinished"
    fault = Fault.UNAVAILABLE
    retry_after = 1.0


class AnswerNotStreamed(PenstockError):
    """The request asked for its answer in one piece; it is at `/result`."""

    code = "api.answer_not_streamed"
    fault = Fault.CONFLICT


class StreamExpired(PenstockError):
    """The stream can be taken up no more; the whole answer is at `/result`."""

    code = "api.stream_expired"
    fault = Fault.MISSING


class AnswerGone(PenstockError):
    """The request ended, and its text is kept no more."""

    code = "api.answer_gone"
    fault = Fault.MISSING
