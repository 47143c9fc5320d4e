"""Embeddings through LiteLLM, against a real HTTP server."""

import math

import numpy as np
import pytest

from apps.capabilities.llm.embedder import LiteLlmEmbedder
from apps.intelligence.errors import EmbedderUnavailable
from tests.capabilities.fake_provider import Connect, FakeProvider

pytestmark = pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")


def test_vectors_come_back_normalised_and_in_order(connect: Connect, provider: FakeProvider) -> None:
    connect("ok")
    embedder = LiteLlmEmbedder("openai/x-embed")
    vectors = embedder.embed(["a", "bbb", "cc"])
    assert (vectors.dtype.name, vectors.shape) == ("float32", (3, 3))
    expected = np.array(
        [[n / math.hypot(n, 3, 4), 3 / math.hypot(n, 3, 4), 4 / math.hypot(n, 3, 4)] for n in (1, 3, 2)]
    )
    assert np.allclose(vectors, expected, atol=1e-6)
    assert (embedder.dim, embedder.model_id) == (3, "litellm:openai/x-embed")
    assert len(provider.calls) == 1


def test_many_texts_go_in_batches_and_none_need_none(connect: Connect, provider: FakeProvider) -> None:
    connect("ok")
    embedder = LiteLlmEmbedder("openai/x-embed")
    assert embedder.embed(["x"] * 130).shape == (130, 3)
    assert [len(call["input"]) for call in provider.calls] == [64, 64, 2]
    assert embedder.embed([]).shape == (0, 3)


def test_a_provider_that_is_down_is_a_reason_to_try_again(connect: Connect) -> None:
    connect("ok", LLM_API_BASE="http://127.0.0.1:9/v1")
    with pytest.raises(EmbedderUnavailable):
        LiteLlmEmbedder("openai/x-embed").embed(["a"])


def test_tokens_are_counted_on_the_safe_side() -> None:
    embedder = LiteLlmEmbedder("openai/x-embed")
    text = "Write-ahead logging, 2 ways."
    spans = embedder.token_offsets(text)
    assert [text[start:end] for start, end in spans] == [
        "Writ", "e", "-", "ahea", "d", "logg", "ing", ",", "2", "ways", ".",
    ]  # fmt: skip
    assert embedder.count_tokens(text) == len(spans)
