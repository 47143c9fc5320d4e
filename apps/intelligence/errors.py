"""Refusals about embedding and vector search."""

from apps.core.errors import DomainError


class EmbedderUnavailable(DomainError):
    """The embedding model or its provider does not answer; worth another attempt."""

    code = "embedder_unavailable"
    status = 503
    title = "The embedding model is not available"


class EmbedderUnknown(DomainError):
    """EMBEDDING_MODEL names a model that nothing here provides."""

    code = "embedder_unknown"
    status = 503
    title = "The embedding model is not known"


class ModelMissing(EmbedderUnavailable):
    """The bundled model's package is not installed as pinned."""

    code = "model_missing"


class VectorInvalid(DomainError):
    """A vector has the wrong length, is zero, or holds something that is no finite number."""

    code = "vector_value"
    status = 422
    title = "The vector is not usable"
