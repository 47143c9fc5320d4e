"""What intelligence needs from an embedding model."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apps.intelligence.conf import intelligence_settings
from apps.intelligence.errors import EmbedderUnknown

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into vectors. `model_id` names the vector space: vectors of two ids are never compared."""

    @property
    def model_id(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def max_tokens(self) -> int:
        """How many tokens of a text count, without the model's own marks; the rest is ignored."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of the whole text, uncut."""
        ...

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token, in characters of `text`."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """float32 of shape (len(texts), dim), L2-normalised, in the order given. Raises EmbedderUnavailable."""
        ...


EmbedderFactory = Callable[[str], Embedder]

_factories: dict[str, EmbedderFactory] = {}
_embedders: dict[str, Embedder] = {}
_lock = threading.Lock()


def register_embedder(prefix: str, factory: EmbedderFactory) -> None:
    """Provide the models named `prefix` or `prefix:<name>`; the factory gets `<name>` (or an empty text) once."""
    _factories[prefix] = factory


def embedder() -> Embedder:
    """The embedder that EMBEDDING_MODEL selects, one per process. Raises EmbedderUnknown."""
    selected = intelligence_settings().embedding_model
    found = _embedders.get(selected)
    if found is not None:
        return found
    prefix, _, name = selected.partition(":")
    factory = _factories.get(prefix)
    if factory is None:
        known = ", ".join(sorted(_factories))
        raise EmbedderUnknown(f"EMBEDDING_MODEL={selected!r}: nothing provides {prefix!r} (known: {known}).")
    with _lock:
        return _embedders.setdefault(selected, factory(name))
