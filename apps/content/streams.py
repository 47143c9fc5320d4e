"""The chat stream: an async generator of events, from any event loop, for whoever writes them to a client.

The database is touched in three short blocks: before the first event, after the last word, and when a stream ends
early. Closing the generator (the client has gone, or pressed stop) hangs up on the provider and keeps what was said.

When the provider fails before its first word, the answer is made of quotations and says so. When it fails in the
middle, what was said stays said: an `error` event ends the stream, and the partial answer is stored with an empty mode.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from apps.capabilities import llm
from apps.capabilities.errors import LlmUnavailable
from apps.content.retrieval_conf import retrieval_settings
from apps.content.services import chat
from apps.content.services.chat import AnswerPlan, Citation, Mode
from apps.content.services.citations import AnswerParser, Marker
from apps.content.services.prompting import answer_messages
from apps.core.errors import DomainError
from apps.core.tenancy import TenantRef, run_in_tenant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """One event of the stream: its SSE name and its JSON data."""

    name: Literal["sources", "delta", "citation", "done", "error"]
    data: dict[str, Any]


@dataclass
class _Answer:
    """What has been said so far."""

    text: list[str] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    model: str = ""
    recorded: bool = False

    def delta(self, text: str) -> ChatEvent:
        self.text.append(text)
        return ChatEvent("delta", {"text": text})

    def cite(self, citation: Citation) -> list[ChatEvent]:
        """The event of a citation; a place that was cited before is not cited again."""
        if citation in self.citations:
            return []
        self.citations.append(citation)
        return [ChatEvent("citation", citation.as_json())]


async def answer_stream(
    ref: TenantRef, principal_label: str, message: str, conversation_id: UUID | None = None
) -> AsyncGenerator[ChatEvent, None]:
    """sources, then deltas and citations as they come, then done; or error.

    Raises the DomainErrors of `prepare_answer` before the first event, so that they can still be an HTTP status.
    """
    plan = await run_in_tenant(
        ref, chat.prepare_answer, message=message, principal=principal_label, conversation_id=conversation_id
    )
    answer = _Answer()
    try:
        yield ChatEvent(
            "sources",
            {
                "conversation_id": str(plan.conversation_id),
                "sources": [passage.as_source() for passage in plan.passages],
            },
        )
        async with aclosing(_body(ref, plan, answer)) as events:
            async for event in events:
                yield event
    finally:
        if not answer.recorded and answer.text:
            await run_in_tenant(ref, _record_partial, plan, answer)


async def _body(ref: TenantRef, plan: AnswerPlan, answer: _Answer) -> AsyncGenerator[ChatEvent, None]:
    notice = ""
    mode: Mode
    if not plan.found:
        mode = "not_found"
        for event in _not_found(plan, answer):
            yield event
    elif llm.configured():
        mode = "llm"
        try:
            async with aclosing(_written(ref, plan, answer)) as events:
                async for event in events:
                    yield event
        except LlmUnavailable as error:
            if answer.text:
                yield ChatEvent("error", {"code": error.code, "detail": error.detail})
                return
            mode, notice, answer.model = "extractive", f"{error.detail} {chat.NOTICE_MODEL_DOWN}", ""
    else:
        mode, notice = "extractive", chat.NOTICE_NO_MODEL
    if mode == "llm" and not "".join(answer.text).strip():
        mode, notice, answer.model = "extractive", chat.NOTICE_MODEL_DOWN, ""
    if mode == "extractive":
        for event in await run_in_tenant(ref, _quoted, plan, answer):
            yield event
    try:
        message_id = await run_in_tenant(ref, _record, plan, answer, mode)
    except DomainError as error:
        yield ChatEvent("error", {"code": error.code, "detail": error.detail})
        return
    done = {"message_id": str(message_id), "conversation_id": str(plan.conversation_id), "mode": mode}
    yield ChatEvent("done", done | ({"notice": notice} if notice else {}))


async def _written(ref: TenantRef, plan: AnswerPlan, answer: _Answer) -> AsyncGenerator[ChatEvent, None]:
    """A model's answer from the passages, its citations checked against them while it streams."""
    answer.model = llm.model_name()
    messages = answer_messages(plan.question, plan.quoted(), plan.history, secret=retrieval_settings().fence_secret)
    parser = AnswerParser(passages=len(plan.passages), allowed_urls={passage.source_uri for passage in plan.passages})
    async with aclosing(llm.stream(messages, tenant=ref)) as pieces:
        async for piece in pieces:
            for event in _events(parser.feed(piece), plan, answer):
                yield event
    for event in _events(parser.finish(), plan, answer):
        yield event


def _events(parts: Sequence[str | Marker], plan: AnswerPlan, answer: _Answer) -> list[ChatEvent]:
    events: list[ChatEvent] = []
    for part in parts:
        if isinstance(part, str):
            events.append(answer.delta(part))
        else:
            events.extend(answer.cite(chat.citation_for(plan, part.n, part.claim)))
    return events


def _quoted(plan: AnswerPlan, answer: _Answer) -> list[ChatEvent]:
    """The best sentences, word for word."""
    events = [answer.delta(chat.EXTRACTIVE_TEXT)]
    for quote in chat.quotations(plan):
        events.append(answer.delta(f"\n\n“{quote.text}” [{quote.n}]"))
        events.extend(answer.cite(quote))
    return events


def _not_found(plan: AnswerPlan, answer: _Answer) -> list[ChatEvent]:
    titles = list(dict.fromkeys(passage.title for passage in plan.passages))[:3]
    nearest = f"{chat.NEAREST_TEXT}{'; '.join(titles)}." if titles else ""
    return [answer.delta(f"{chat.NOT_FOUND_TEXT}{nearest}")]


def _record(plan: AnswerPlan, answer: _Answer, mode: Mode) -> UUID:
    answer.recorded = True
    return chat.record_answer(
        conversation_id=plan.conversation_id,
        text="".join(answer.text),
        mode=mode,
        citations=answer.citations,
        model=answer.model,
    )


def _record_partial(plan: AnswerPlan, answer: _Answer) -> None:
    try:
        chat.record_partial(
            conversation_id=plan.conversation_id,
            text="".join(answer.text),
            citations=answer.citations,
            model=answer.model,
        )
    except DomainError as error:
        log.info("partial answer not kept: %s", error.code)
