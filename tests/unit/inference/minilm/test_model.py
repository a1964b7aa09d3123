"""The model's vectors are those of the reference, which other software made from the same weights."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from penstock_inference.adapters.engines.minilm.bert import Bert, cumulative
from penstock_inference.adapters.engines.minilm.child import model_folder
from penstock_inference.adapters.engines.minilm.shelf import batched
from penstock_inference.adapters.engines.minilm.weights import Array, read_weights

REFERENCE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "reference.json").read_text())["vectors"]


@pytest.fixture(scope="module")
def bert() -> Bert:
    """The model."""
    return Bert(read_weights(model_folder() / "model.safetensors"))


@pytest.fixture(scope="module")
def tokens() -> list[list[int]]:
    """The reference's texts as the model's tokens, cut to 256."""
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    return [encoding.ids for encoding in tokenizer.encode_batch([entry["text"] for entry in REFERENCE])]


@pytest.fixture(scope="module")
def vectors(bert: Bert, tokens: list[list[int]]) -> Array:
    """The vectors of the reference's texts, in batches as the process makes them."""
    found: Array = np.zeros((len(tokens), 384), dtype=np.float32)
    for places in batched(tokens):
        found[places] = bert.embed([tokens[place] for place in places])
    return found


def test_vectors_equal_the_reference(vectors: Array, tokens: list[list[int]]) -> None:
    """Words, sentences, other scripts, marks, and a text that is cut."""
    assert [len(ids) for ids in tokens] == [entry["tokens"] for entry in REFERENCE]
    expected = np.array([entry["vector"] for entry in REFERENCE])
    assert np.abs(vectors - expected).max() < 2e-6
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_like_words_are_near_each_other(vectors: Array) -> None:
    """A cat is nearer to a kitten than to revenue."""
    cat, kitten, revenue = vectors[:3]
    assert cat @ kitten == pytest.approx(0.7882, abs=1e-4)
    assert cat @ revenue == pytest.approx(0.3163, abs=1e-4)


def test_company_changes_nothing(bert: Bert, tokens: list[list[int]], vectors: Array) -> None:
    """A text has the same vector alone as beside a longer one."""
    alone = np.concatenate([bert.embed([ids]) for ids in tokens])
    assert np.abs(alone - vectors).max() < 2e-6


def test_the_normal_distribution_is_exact_enough() -> None:
    """Against its known values, and its symmetry."""
    x = np.array([-8, -1.96, -1, 0, 1, 1.96, 8], dtype=np.float32)
    known = [0, 0.0249979, 0.1586553, 0.5, 0.8413447, 0.9750021, 1]
    assert cumulative(x) == pytest.approx(known, abs=1e-6)


def test_weights_stay_in_their_file() -> None:
    """Nothing copies them, and nothing can write to them."""
    words = read_weights(model_folder() / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert words.shape == (30_522, 384)
    assert isinstance(words, np.memmap)
    assert not words.flags.writeable
