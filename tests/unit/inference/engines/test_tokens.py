"""Counting."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_inference.domain.tokens import count_prompt, count_tokens, split_tokens

# Counts of cl100k_base, from OpenAI's cookbook "How to count tokens with tiktoken" and its tokenizer page.
KNOWN = [
    ("tiktoken is great!", 6),
    ("antidisestablishmentarianism", 6),
    ("2 + 2 = 4", 7),
    ("お誕生日おめでとう", 9),
    ("", 0),
]


@pytest.mark.parametrize(("text", "tokens"), KNOWN)
def test_known_counts(text: str, tokens: int) -> None:
    """The vocabulary is the one it is said to be."""
    assert count_tokens(text) == tokens


@given(st.text())
def test_pieces_make_the_text(text: str) -> None:
    """Splitting loses nothing, whatever the text, lone surrogates replaced."""
    assert "".join(split_tokens(text)) == text.encode("utf-8", "replace").decode()


PROMPTS: list[tuple[dict[str, Any], int]] = [
    ({"messages": []}, 3),
    ({"messages": [{"role": "user", "content": "hello world"}]}, 3 + 3 + 1 + 2),
    ({"messages": [{"role": "user", "name": "bob", "content": "hello world"}]}, 3 + 3 + 1 + 2 + 1 + 1),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]}, 9),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "low"}}]}]}, 7 + 85),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 7 + 765),
]


@pytest.mark.parametrize(("body", "tokens"), PROMPTS)
def test_prompts_are_counted_with_their_framing(body: dict[str, Any], tokens: int) -> None:
    """Three tokens a message, one more for a name, three for the reply, a flat figure for a picture."""
    assert count_prompt(body) == tokens


def test_tools_count() -> None:
    """The model reads the definitions of tools as well."""
    body = {"messages": [{"role": "user", "content": "hi"}]}
    assert count_prompt({**body, "tools": [{"type": "function", "function": {"name": "f"}}]}) > count_prompt(body)
