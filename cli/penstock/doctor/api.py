"""The running platform as its clients see it, and the engines as inference sees them."""

from typing import Any

import httpx

from penstock.doctor.finding import Finding, Level, Patient
from penstock.found import DISCOVERY
from penstock.platform.state import State

API, ENGINES = "api", "engines"
SECONDS = 8.0
MENDS = {
    "unreachable": "start the engine, or remove its models: penstock models rm NAME",
    "key_refused": "give the right key: penstock models add NAME … --api-key-env VARIABLE",
    "key_missing": "give its key: penstock models add NAME … --api-key-env VARIABLE, or set it for inference",
    "model_missing": "load the model there, or correct --upstream-model",
    "failing": "see the engine's own log",
}


async def check_api(patient: Patient) -> list[Finding]:
    """Whether the API answers, takes its own operator's key, and what it misses; then the engines."""
    if patient.state is None:
        return [Finding(API, Level.SKIPPED, patient.why_not)]
    async with httpx.AsyncClient(base_url=patient.state.base_url, timeout=SECONDS, trust_env=False) as http:
        try:
            ready = await http.get("/readyz")
            missing = [name for name, is_fine in ready.json().get("checks", {}).items() if not is_fine]
            keys = [await _key(http, patient.state.api_key), await _key(http, patient.state.admin_key)]
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            problem = f"the API does not answer as it should: {str(error) or type(error).__name__}"
            mend = "see: penstock logs api"
            return [Finding(API, Level.FAIL, problem, patient.state.base_url, mend)]
        return [_ready(patient.state, missing, keys), *await _engines(http, patient.state)]


async def _key(http: httpx.AsyncClient, key: str) -> int:
    answer = await http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    return answer.status_code


def _ready(state: State, missing: list[str], statuses: list[int]) -> Finding:
    if missing:
        problem = f"the API is not ready; it misses: {', '.join(missing)}"
        return Finding(API, Level.FAIL, problem, state.base_url, "mend what else is reported here first")
    if 401 in statuses:
        mend = "start the platform again, or take the key from credentials.json"
        return Finding(API, Level.FAIL, "the API refuses the platform's own key", state.base_url, mend)
    return Finding(API)


async def _engines(http: httpx.AsyncClient, state: State) -> list[Finding]:
    headers = {"authorization": f"Bearer {state.admin_key}"}
    try:
        answer = await http.get(DISCOVERY, params={"check": "true"}, headers=headers)
        report = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        problem = "inference does not say how its engines are"
        return [Finding(ENGINES, Level.FAIL, problem, state.base_url, "see: penstock logs inference")]
    away = {f"http://{found['address']}/v1" for found in report["findings"] if found["state"] == "away"}
    sick = [_sick(engine, away) for engine in report["engines"] if engine["state"] != "ok"]
    return sick or [Finding(ENGINES)]


def _sick(engine: dict[str, Any], away: set[str]) -> Finding:
    names = ", ".join(engine["models"][:5])
    is_back_by_itself = engine["url"] in away
    return Finding(
        ENGINES,
        Level.WARN if is_back_by_itself else Level.FAIL,
        f"the engine of {names} is {engine['state'].replace('_', ' ')}: {engine['reason']}",
        engine["url"],
        MENDS[engine["state"]],
    )
