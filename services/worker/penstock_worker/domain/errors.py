"""Why a run or a step of it failed; the code and the sentence stand in the run."""

from penstock_common.errors import Fault, PenstockError


class TaskMissing(PenstockError):
    """There is no task of this name."""

    code = "worker.task_missing"
    fault = Fault.MISSING


class TooDeep(PenstockError):
    """Runs that start runs end at a depth of 4; start this task another way."""

    code = "worker.runs_too_deep"
    fault = Fault.INVALID


class StepTooSlow(PenstockError):
    """The step did not end within its time-out."""

    code = "worker.step_too_slow"
    fault = Fault.TIMEOUT


class StepCrashed(PenstockError):
    """Something went wrong inside the platform while the step ran."""

    code = "worker.step_crashed"
    fault = Fault.UNAVAILABLE


class OutputTooLarge(PenstockError):
    """The step's output is larger than 2 MiB, or those of the whole run than 8 MiB."""

    code = "worker.output_too_large"
    fault = Fault.TOO_LARGE


class KindUnknown(PenstockError):
    """This version of worker has no such kind of step."""

    code = "worker.kind_unknown"
    fault = Fault.INVALID


class Abandoned(PenstockError):
    """Worker processes died again and again while they ran this; it is not tried any more."""

    code = "worker.run_abandoned"
    fault = Fault.UNAVAILABLE


class ModelRefused(PenstockError):
    """The model gave no answer that can be used."""

    code = "worker.model_refused"
    fault = Fault.INVALID


class ModelUnavailable(PenstockError):
    """The model gave no answer now."""

    code = "worker.model_unavailable"
    fault = Fault.UNAVAILABLE


class AnswerNotJson(PenstockError):
    """The model was asked for JSON, and its answer is none."""

    code = "worker.answer_not_json"
    fault = Fault.UNAVAILABLE


class EffectsSuppressed(PenstockError):
    """The run was started by a replay that may not reach outside of the platform; allow it with --effects allow."""

    code = "worker.effects_suppressed"
    fault = Fault.FORBIDDEN


class ToolRefused(PenstockError):
    """The tool answered with a status that the step does not expect."""

    code = "worker.tool_refused"
    fault = Fault.INVALID


class ToolFailed(PenstockError):
    """The tool answered that it can't do this now."""

    code = "worker.tool_failed"
    fault = Fault.UNAVAILABLE


class SearchRefused(PenstockError):
    """The knowledge base can't be searched."""

    code = "worker.search_refused"
    fault = Fault.INVALID


class ChildFailed(PenstockError):
    """The run that was waited for did not succeed."""

    code = "worker.child_failed"
    fault = Fault.INVALID


class StateInvalid(PenstockError):
    """What is remembered can't be changed so."""

    code = "worker.state_invalid"
    fault = Fault.INVALID


class AgentTurnsSpent(PenstockError):
    """The agent asked its model as often as it may, and has no answer."""

    code = "worker.agent_turns_spent"
    fault = Fault.INVALID


class AgentAstray(PenstockError):
    """The model did not keep to the agent's tools or form of answer."""

    code = "worker.agent_astray"
    fault = Fault.UNAVAILABLE


class Superseded(Exception):
    """Another process runs this run now: nothing of it may be said or done here any more."""

    is_no_error = True


class Parked(Exception):
    """The run waits for something; it is taken up again after `delay` seconds, by whoever is free."""

    is_no_error = True

    def __init__(self, delay: float) -> None:
        super().__init__(f"again in {delay} s")
        self.delay = delay
