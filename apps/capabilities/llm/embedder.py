"""Embeddings from any LiteLLM provider, for EMBEDDING_MODEL="litellm:<model>". LiteLLM is imported on the first one."""

import re
import threading
from collections.abc import Sequence

import numpy as np

from apps.capabilities.conf import llm_settings
from apps.capabilities.errors import LlmUnavailable
from apps.capabilities.llm import door
from apps.capabilities.llm.runtime import llm_loop
from apps.intelligence.errors import EmbedderUnavailable
from apps.intelligence.ports import Embedder, Vectors, register_embedder

BATCH = 64
_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")


class LiteLlmEmbedder:
    """One provider's model. Its tokenizer is not at hand, so tokens are counted on the safe side: at most four letters
    each, every mark its own. A chunk sized by it is never cut off by the provider.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._dim = 0

    @property
    def model_id(self) -> str:
        return f"litellm:{self._model}"

    @property
    def dim(self) -> int:
        """Known once the provider has answered; asks it when nothing was embedded before."""
        with self._lock:
            if self._dim == 0:
                self._dim = len(self._call(["dimension"])[0])
            return self._dim

    @property
    def max_tokens(self) -> int:
        return llm_settings().embedding_max_tokens

    def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        rows: list[list[float]] = []
        for at in range(0, len(texts), BATCH):
            rows.extend(self._call(texts[at : at + BATCH]))
        if len({len(row) for row in rows}) != 1:
            raise EmbedderUnavailable("The embedding provider returned vectors of different lengths.")
        vectors = np.asarray(rows, dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(vectors).all() or (lengths == 0).any():
            raise EmbedderUnavailable("The embedding provider returned a vector that cannot be used.")
        self._dim = vectors.shape[1]
        normalised: Vectors = (vectors / lengths).astype(np.float32)
        return normalised

    def _call(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            return llm_loop.submit(door.embed(texts, model=self._model)).result()
        except LlmUnavailable as error:
            raise EmbedderUnavailable(error.detail) from None


def _build(model: str) -> Embedder:
    return LiteLlmEmbedder(model)


def register() -> None:
    """Offer every LiteLLM embedding model under the prefix "litellm"."""
    register_embedder("litellm", _build)
