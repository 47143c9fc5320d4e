"""Documents put straight into the index, with real vectors: for tests of search and chat."""

from uuid import UUID

from blake3 import blake3

from apps.content.chunking import chunk, embedding_text
from apps.content.extraction import extract
from apps.content.models import Blob, Chunk, Document, SemanticContainer, Source
from apps.content.selectors import search as search_selectors
from apps.intelligence.ports import embedder
from apps.intelligence.services import ensure_embeddings, text_hash


def make_source(name: str, *, kind: str = "path") -> Source:
    return Source.objects.create(kind=kind, name=name, uri=f"test:{name}")


def index_text(
    source: Source, text: str, *, name: str = "", uri: str = "", media_type: str = "text/markdown"
) -> Document:
    """A ready document; equal text shares its blob, as the product does."""
    model = embedder()
    data = text.encode()
    hash_ = blake3(data + media_type.encode()).hexdigest()
    extracted = extract(data, media_type=media_type, charset="utf-8")
    blob, created = Blob.objects.get_or_create(
        content_hash=hash_,
        defaults={
            "media_type": media_type,
            "artifact_path": "unused",
            "size_bytes": len(data),
            "text": extracted.text,
            "title": extracted.title or name,
            "state": Blob.State.INDEXED,
        },
    )
    if created:
        _index(blob, [
            Chunk(
                blob=blob,
                ordinal=span.ordinal,
                start=span.start,
                end=span.end,
                heading_path=list(span.heading_path),
                heading=" > ".join(span.heading_path),
                title=blob.title,
                text=extracted.text[span.start : span.end],
            )
            for span in chunk(extracted, tokenizer=model, max_tokens=model.max_tokens)
        ])  # fmt: skip
    external_id = name or f"{hash_[:12]}-{Document.objects.filter(source=source).count()}"
    document = Document.objects.create(
        source=source,
        external_id=external_id,
        uri=uri or f"{source.uri}/{external_id}",
        title=blob.title,
        media_type=media_type,
        status=Document.Status.READY,
        stage=Document.Stage.DONE,
        blob=blob,
        content_hash=hash_,
    )
    SemanticContainer.objects.create(
        document=document, title=document.title, content_type=media_type, provenance={"source": source.name}
    )
    search_selectors.forget_frequencies()
    return document


def _index(blob: Blob, chunks: list[Chunk]) -> None:
    texts = [embedding_text(row.title, row.heading_path, row.text) for row in chunks]
    labels = ensure_embeddings(texts).labels
    for row, text, label in zip(chunks, texts, labels, strict=True):
        row.text_hash, row.label = text_hash(text), label
    Chunk.objects.bulk_create(chunks)


def normalised_text(document_id: UUID) -> str:
    """The text that offsets count in."""
    document = Document.objects.select_related("blob").get(pk=document_id)
    assert document.blob is not None
    return document.blob.text
