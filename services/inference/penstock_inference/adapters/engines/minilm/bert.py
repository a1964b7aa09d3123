"""all-MiniLM-L6-v2 in numpy: six BERT layers, the mean over the tokens, unit length.

BERT: Devlin et al., arXiv:1810.04805. The model: Reimers and Gurevych, sentence-transformers/all-MiniLM-L6-v2.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from penstock_inference.adapters.engines.minilm.weights import Array

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = np.float32(1e-12)
MASKED = np.float32(-1e9)
HALF, ROOT_HALF = np.float32(0.5), np.float32(math.sqrt(0.5))
SCALE = np.float32(1 / math.sqrt(WIDTH // HEADS))

# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: erf within 1.5e-7.
ERF_P = np.float32(0.3275911)
ERF = [np.float32(f) for f in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]
ROWS = 32  # as many as fit the processor's cache: twice as fast as all at once

Linear = tuple[Array, Array]
"""(weight, bias): the output is x @ weight + bias."""


class Bert:
    """The model. Its weights stay where they are."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._words = weights["embeddings.word_embeddings.weight"]
        kind = weights["embeddings.token_type_embeddings.weight"][0]
        self._places = weights["embeddings.position_embeddings.weight"] + kind
        self._norm = norm_of(weights, "embeddings.LayerNorm")
        self._layers = [Layer(weights, f"encoder.layer.{index}") for index in range(LAYERS)]

    def embed(self, batch: Sequence[Sequence[int]]) -> Array:
        """Unit vectors, (texts, 384), of texts given as token ids, each with the model's [CLS] and [SEP]."""
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), dtype=np.int32)
        given = np.zeros((len(batch), longest, 1), dtype=np.float32)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            given[row, : len(tokens)] = 1
        mask = np.where(given > 0, np.float32(0), MASKED).transpose(0, 2, 1)[:, None]
        hidden = normalized(self._words[ids] + self._places[:longest], self._norm)
        for layer in self._layers:
            hidden = layer(hidden, mask)
        pooled = (hidden * given).sum(1) / given.sum(1)
        unit: Array = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit


class Layer:
    """One encoder layer."""

    def __init__(self, weights: Mapping[str, Array], name: str) -> None:
        parts = ("query", "key", "value")
        self._projections = [linear_of(weights, f"{name}.attention.self.{part}") for part in parts]
        self._mixing = linear_of(weights, f"{name}.attention.output.dense")
        self._after_mixing = norm_of(weights, f"{name}.attention.output.LayerNorm")
        self._widening = linear_of(weights, f"{name}.intermediate.dense")
        self._narrowing = linear_of(weights, f"{name}.output.dense")
        self._after_narrowing = norm_of(weights, f"{name}.output.LayerNorm")

    def __call__(self, x: Array, mask: Array) -> Array:
        """(texts, tokens, 384) in and out; `mask` is added to the scores."""
        query, key, value = (heads(applied(linear, x)) for linear in self._projections)
        query *= SCALE
        scores = query @ key.transpose(0, 1, 3, 2)
        scores += mask
        mixed = (softmax(scores) @ value).transpose(0, 2, 1, 3).reshape(x.shape)
        x = normalized(x + applied(self._mixing, mixed), self._after_mixing)
        wide = gelu(applied(self._widening, x))
        return normalized(x + applied(self._narrowing, wide), self._after_narrowing)


def linear_of(weights: Mapping[str, Array], name: str) -> Linear:
    """A linear layer by its name."""
    return weights[f"{name}.weight"].T, weights[f"{name}.bias"]


def norm_of(weights: Mapping[str, Array], name: str) -> Linear:
    """A layer normalization by its name."""
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def applied(linear: Linear, x: Array) -> Array:
    """A linear layer's output."""
    y: Array = x @ linear[0]
    y += linear[1]
    return y


def heads(x: Array) -> Array:
    """(texts, tokens, 384) as (texts, heads, tokens, 32)."""
    return x.reshape(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)


def normalized(x: Array, norm: Linear) -> Array:
    """Layer normalization over the last axis."""
    x = x - x.mean(-1, keepdims=True)
    x /= np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)
    x *= norm[0]
    x += norm[1]
    return x


def softmax(x: Array) -> Array:
    """Over the last axis, in place."""
    x -= x.max(-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(-1, keepdims=True)
    return x


def gelu(x: Array) -> Array:
    """x times the normal distribution function of x, in place."""
    rows = x.reshape(-1, x.shape[-1])
    for start in range(0, len(rows), ROWS):
        block = rows[start : start + ROWS]
        block *= cumulative(block)
    return x


def cumulative(x: Array) -> Array:
    """The normal distribution function."""
    z = np.abs(x)
    z *= ROOT_HALF
    t = z * ERF_P
    t += 1
    np.reciprocal(t, out=t)
    series = np.zeros_like(t)
    for factor in ERF:
        series += factor
        series *= t
    z *= -z
    np.exp(z, out=z)
    series *= z
    np.subtract(1, series, out=series)
    np.copysign(series, x, out=series)
    series += 1
    series *= HALF
    return series
