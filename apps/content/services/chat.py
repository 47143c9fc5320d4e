"""Answering from the indexed documents: what is decided before the first word, and what is kept after the last.

`prepare_answer` and `record_answer` are the two short database blocks around a stream (`apps.content.streams`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from apps.capabilities import llm
from apps.content.errors import ConversationMissing, MessageTooLong
from apps.content.events import ChatAnswered
from apps.content.models import Conversation, Message
from apps.content.retrieval_conf import retrieval_settings
from apps.content.selectors.conversations import conversation_visible_to, messages_of_conversation
from apps.content.selectors.search import HitRow, SearchFilters, hit_rows, neighbours
from apps.content.services.fusion import fuse_chunks
from apps.content.services.highlighting import (
    Highlight,
    best_sentences,
    supporting_sentence,
    telling_sentences,
    with_next_sentence,
    words,
)
from apps.content.services.prompting import MAX_HISTORY_TURNS, QuotedPassage, Turn
from apps.content.services.retrieval import NO_VECTORS, Retrieved, checked_query, retrieve
from apps.core.events import publish
from apps.core.tenancy import atomic
from apps.intelligence import vectors
from apps.intelligence.errors import EmbedderUnavailable

Mode = Literal["llm", "extractive", "not_found"]

NOTICE_NO_MODEL = (
    "No language model is connected, so these are passages quoted word for word. "
    "Set LLM_MODEL, for example to ollama/llama3.2, to get written answers."
)
MAX_SENTENCES_WEIGHED = 60
WORDS_WEIGHT = 0.3
FAR_BEHIND = 0.6
NOTICE_MODEL_DOWN = "The language model did not answer, so these are passages quoted word for word."
NOT_FOUND_TEXT = "Nothing in the indexed documents answers this."
NEAREST_TEXT = " The nearest documents, which may not be about it: "
EXTRACTIVE_TEXT = "Quoted from your documents:"

TAKEN_ALONG_WEIGHT = 0.3
MAX_QUOTE_CHARS = 360

_FOLLOW_UP = re.compile(
    r"^(?:and|but|so|also|then|what about|how about|why|why not|how so|which one|who|when|where|really)\b|"
    r"\b(?:it|its|they|them|their|this|that|these|those|he|she|him|her|one|ones|there|former|latter|same|above)\b",
    re.IGNORECASE,
)
_SMALL_WORDS = frozenset(
    lexeme
    for lexeme, _, _ in words(
        "a an and are as at be been but by can could did do does for from had has have how i if in is it its me my no"
        " not of on or our should so such than that the their them then there these they this those to too was we were what"
        " when where which who why will with would you your about also more please tell explain show give"
    )
)


@dataclass(frozen=True, slots=True)
class Passage:
    """One numbered source of an answer: a chunk of one document. `text == normalised_text[start:end]`."""

    n: int
    chunk_id: int
    container_id: UUID
    document_id: UUID
    title: str
    source_uri: str
    score: float
    start: int
    end: int
    heading_path: tuple[str, ...]
    text: str

    def as_source(self) -> dict[str, Any]:
        """The entry of the `sources` event."""
        return {
            "n": self.n,
            "container_id": str(self.container_id),
            "document_id": str(self.document_id),
            "title": self.title,
            "source_uri": self.source_uri,
            "score": self.score,
            "chunk": {"start": self.start, "end": self.end, "heading_path": list(self.heading_path)},
        }


@dataclass(frozen=True, slots=True)
class Citation:
    """Passage `n` says it here: `text == normalised_text[start:end]` of the document."""

    n: int
    container_id: UUID
    document_id: UUID
    start: int
    end: int
    text: str

    def as_json(self) -> dict[str, Any]:
        """The `citation` event, and an entry of a stored message's citations."""
        return {
            "n": self.n,
            "container_id": str(self.container_id),
            "document_id": str(self.document_id),
            "start": self.start,
            "end": self.end,
            "text": self.text,
        }


@dataclass(frozen=True)
class AnswerPlan:
    """Everything an answer needs, read before the stream opens."""

    conversation_id: UUID
    question: str
    passages: tuple[Passage, ...]
    found: bool
    """Whether the passages fit well enough to answer from; else they are only the nearest there is."""
    history: tuple[Turn, ...]
    weights: Mapping[str, float]
    """Lexeme -> how much a sentence that holds it answers the question."""

    def quoted(self) -> list[QuotedPassage]:
        """What a model is shown."""
        return [
            QuotedPassage(passage.n, passage.title, passage.heading_path, passage.text) for passage in self.passages
        ]


def prepare_answer(*, message: str, principal: str, conversation_id: UUID | None) -> AnswerPlan:
    """Store the question, retrieve passages and decide whether they answer it.

    Raises QueryEmpty, QueryInvalid, MessageTooLong, ConversationMissing.
    """
    options = retrieval_settings()
    if len(message) > options.max_message_chars:
        raise MessageTooLong(f"At most {options.max_message_chars:,} characters; this has {len(message):,}.")
    question = message.strip()
    plain = checked_query(question, max_chars=options.max_message_chars)
    with atomic():
        conversation, history = _conversation(principal, conversation_id, question)
        Message.objects.create(conversation=conversation, role=Message.Role.USER, content=question)
    query = retrieval_query(plain, history, max_chars=options.max_query_chars)
    retrieved = retrieve(query, SearchFilters(), want=options.passages)
    passages = _passages(retrieved)
    if llm.configured():
        passages = _widened(passages)
    return AnswerPlan(
        conversation_id=conversation.pk,
        question=question,
        passages=passages,
        found=bool(passages) and is_relevant(retrieved),
        history=tuple(history),
        weights=_weights(question, retrieved),
    )


def _weights(question: str, retrieved: Retrieved) -> dict[str, float]:
    """The query's idf, with what was only taken along from the question before counting less."""
    said = {lexeme for lexeme, _, _ in words(question)}
    return {lexeme: idf if lexeme in said else idf * TAKEN_ALONG_WEIGHT for lexeme, idf in retrieved.idf.items()}


def _conversation(principal: str, conversation_id: UUID | None, question: str) -> tuple[Conversation, list[Turn]]:
    if conversation_id is None:
        return Conversation.objects.create(principal=principal, title=_title(question)), []
    conversation = conversation_visible_to(principal, conversation_id)
    turns = [
        Turn(role="user" if message.role == Message.Role.USER else "assistant", content=message.content)
        for message in messages_of_conversation(conversation, limit=MAX_HISTORY_TURNS)
    ]
    return conversation, turns


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= 80 else f"{line[:79].rsplit(' ', 1)[0]}…"


def retrieval_query(question: str, history: Sequence[Turn], *, max_chars: int) -> str:
    """What to look for. A follow-up that leans on what was said ("and how is it tuned?") takes the last question along.

    A long message keeps its start and its end: the question stands in one of the two.
    """
    said = {lexeme for lexeme, _, _ in words(question)} - _SMALL_WORDS
    previous = next((turn.content for turn in reversed(history) if turn.role == "user"), "")
    leans = len(said) < 2 or (len(said) < 6 and _FOLLOW_UP.search(question) is not None)
    query = f"{' '.join(previous.split())} {question}" if previous and leans else question
    if len(query) <= max_chars:
        return query
    half = max_chars // 2 - 1
    return f"{query[:half].rsplit(' ', 1)[0]} {query[-half:].split(' ', 1)[-1]}"[:max_chars]


def is_relevant(retrieved: Retrieved) -> bool:
    """Whether the best of both legs is good enough to answer from. The numbers and their reason: retrieval_conf."""
    options = retrieval_settings()
    if retrieved.vector_backend == NO_VECTORS:
        return retrieved.best_coverage >= options.min_coverage_alone
    relevance = retrieved.best_cosine + options.coverage_weight * retrieved.best_coverage
    return relevance >= options.min_relevance


def _passages(retrieved: Retrieved) -> tuple[Passage, ...]:
    options = retrieval_settings()
    chunks = fuse_chunks(retrieved.text, retrieved.vector, options.weights, per_blob=options.passages_per_document)[
        : options.passages * 2
    ]
    rows = hit_rows(
        [(chunk.blob_id, chunk.chunk_id) for chunk in chunks], SearchFilters(), with_text=len(chunks), limit=200
    )
    first: dict[int, HitRow] = {}  # equal content in two sources is one passage
    for row in rows:
        first.setdefault(row.position, row)
    chosen = [first[position] for position in sorted(first)][: options.passages]
    return tuple(
        Passage(
            n=n,
            chunk_id=row.chunk_id,
            container_id=row.container_id,
            document_id=row.document_id,
            title=row.title,
            source_uri=row.uri,
            score=round(chunks[row.position].score / options.weights.best, 6),
            start=row.start,
            end=row.end,
            heading_path=tuple(row.heading_path),
            text=row.text or "",
        )
        for n, row in enumerate(chosen, start=1)
    )


def _widened(passages: tuple[Passage, ...]) -> tuple[Passage, ...]:
    """For a model, the best passages come with the text around them: chunks are cut for searching, not for reading."""
    spans = neighbours([passage.chunk_id for passage in passages[: retrieval_settings().widened_passages]])
    widened = []
    for passage in passages:
        start, end, text = spans.get(passage.chunk_id, (passage.start, passage.end, passage.text))
        widened.append(replace(passage, start=start, end=end, text=text))
    return tuple(widened)


def citation_for(plan: AnswerPlan, n: int, claim: str) -> Citation:
    """The sentence of passage `n` that supports `claim`; the one nearest the question when none shares a word."""
    passage = plan.passages[n - 1]
    support = supporting_sentence(passage.text, claim, offset=passage.start)
    if support is None:
        support = best_sentences(passage.text, offset=passage.start, idf=plan.weights, limit=1)[0]
    return _citation(passage, support)


def quotations(plan: AnswerPlan, *, limit: int = 4) -> list[Citation]:
    """The extractive answer: of each passage the sentence nearest the question, word for word, best first.

    Nearness is the cosine to the question plus the words they share; while the embedding model does not answer, the
    words alone. A sentence far behind the best one is left out.
    """
    choices = [
        (passage, sentence, share)
        for passage in plan.passages
        for sentence, share in telling_sentences(passage.text, offset=passage.start, idf=plan.weights)
    ][:MAX_SENTENCES_WEIGHED]
    cosines = _cosines(plan.question, [sentence.text for _, sentence, _ in choices])
    ranked = sorted(
        (
            (cosine + WORDS_WEIGHT * share, passage, sentence)
            for cosine, (passage, sentence, share) in zip(cosines, choices, strict=True)
        ),
        key=lambda choice: -choice[0],
    )
    quotes: dict[int, Citation] = {}
    seen: set[str] = set()
    for nearness, passage, sentence in ranked:
        if len(quotes) == limit or nearness < ranked[0][0] * FAR_BEHIND:
            break
        if passage.n not in quotes and sentence.text not in seen:
            seen.add(sentence.text)
            quote = with_next_sentence(passage.text, sentence, offset=passage.start, max_chars=MAX_QUOTE_CHARS)
            quotes[passage.n] = _citation(passage, quote)
    return list(quotes.values()) or [_best_by_words(plan, passage) for passage in plan.passages[:1]]


def _best_by_words(plan: AnswerPlan, passage: Passage) -> Citation:
    return _citation(passage, best_sentences(passage.text, offset=passage.start, idf=plan.weights, limit=1)[0])


def _cosines(question: str, texts: Sequence[str]) -> list[float]:
    """The cosine of each text to the question; zeros while the embedding model does not answer."""
    try:
        asked = vectors.embed_query(question)
        return [float(asked @ vectors.embed_query(text)) for text in texts]
    except EmbedderUnavailable:
        return [0.0] * len(texts)


def _citation(passage: Passage, sentence: Highlight) -> Citation:
    return Citation(
        n=passage.n,
        container_id=passage.container_id,
        document_id=passage.document_id,
        start=sentence.start,
        end=sentence.end,
        text=sentence.text,
    )


def record_answer(
    *, conversation_id: UUID, text: str, mode: Mode, citations: Sequence[Citation], model: str = ""
) -> UUID:
    """Store a finished answer and publish chat.answered. Returns the message's id."""
    with atomic():
        message = _store(conversation_id, text, mode, citations, model)
        publish(
            ChatAnswered(
                conversation_id=conversation_id, message_id=message.pk, mode=mode, citation_count=len(citations)
            )
        )
    return message.pk


def record_partial(*, conversation_id: UUID, text: str, citations: Sequence[Citation], model: str) -> UUID:
    """Store what was said before an answer broke off, or was stopped: an assistant's message with an empty mode.

    No chat.answered follows, for nothing was answered.
    """
    with atomic():
        return _store(conversation_id, text, "", citations, model).pk


def _store(conversation_id: UUID, text: str, mode: str, citations: Sequence[Citation], model: str) -> Message:
    if not Conversation.objects.select_for_update().filter(pk=conversation_id).exists():
        raise ConversationMissing("The conversation was deleted while it was answered.")
    message = Message.objects.create(
        conversation_id=conversation_id,
        role=Message.Role.ASSISTANT,
        content=text,
        mode=mode,
        citations=[citation.as_json() for citation in citations],
        model=model,
    )
    Conversation.objects.filter(pk=conversation_id).update(updated_at=message.created_at)
    return message


def delete_conversation(conversation_id: UUID, *, principal: str) -> None:
    """Delete one of the principal's conversations with its messages. Raises ConversationMissing."""
    with atomic():
        conversation_visible_to(principal, conversation_id).delete()


def answering_model() -> str:
    """The model that writes answers, or "" when answers are quotations."""
    return llm.model_name()
