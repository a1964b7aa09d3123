"""How a model's answers go on after a take-over: what can't be is refused before anything is ordered."""

import pytest

from penstock_api.domain.errors import InvalidRequest
from penstock_api.domain.model_orders import ENGINES, TAKE_OVERS, WITH_PREFIX, check_registration
from penstock_common.contracts.catalogue import RegisterModel
from penstock_inference.domain.checks import BUILTIN
from penstock_inference.domain.continuing import Prefill, TakeOver
from penstock_inference.domain.dialects import DIALECTS

LOCAL, DEEPSEEK, BETA = "http://127.0.0.1:8000/v1", "https://api.deepseek.com/v1", "https://api.deepseek.com/beta/"


def order(engine: str, url: str, take_over: str) -> None:
    """Have an order checked in an empty catalogue."""
    wanted = RegisterModel(name="m", engine=engine, url=url, take_over=take_over)
    check_registration(wanted, lambda _: None)


@pytest.mark.parametrize(
    ("engine", "url", "take_over"),
    [
        ("vllm", LOCAL, "prefix"),
        ("deepseek", BETA, "prefix"),
        ("deepseek", DEEPSEEK, "verify"),
        ("anthropic", LOCAL, "prefix"),
        ("openai-compatible", LOCAL, "fail"),
        ("openai-compatible", LOCAL, ""),
    ],
)
def test_what_its_engine_can_is_ordered(engine: str, url: str, take_over: str) -> None:
    """Nothing is refused."""
    order(engine, url, take_over)


@pytest.mark.parametrize(
    ("engine", "url", "take_over", "words"),
    [
        ("vllm", LOCAL, "Prefix", "prefix, verify, fail"),
        ("openai-compatible", LOCAL, "prefix", "deepseek, vllm, llamacpp, anthropic"),
        ("deepseek", DEEPSEEK, "prefix", "https://api.deepseek.com/beta"),
    ],
)
def test_what_its_engine_can_not_is_refused(engine: str, url: str, take_over: str, words: str) -> None:
    """The field is named, and what to do."""
    with pytest.raises(InvalidRequest, match=words) as refused:
        order(engine, url, take_over)
    assert "`take_over`" in refused.value.message


def test_both_services_know_the_same_engines() -> None:
    """Services share no code: this keeps their lists together."""
    able = {name for name, dialect in DIALECTS.items() if dialect.prefill is not Prefill.NONE}
    assert set(WITH_PREFIX) == able | set(BUILTIN)
    assert set(ENGINES) == set(DIALECTS) | set(BUILTIN)
    assert set(TAKE_OVERS) == set(TakeOver)
