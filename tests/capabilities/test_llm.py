"""The door, the cache and the coalescing, through LiteLLM, against a real HTTP server."""

import asyncio
import logging
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from apps.capabilities import llm
from apps.capabilities.errors import LlmNotConfigured, LlmUnavailable
from apps.capabilities.llm.cdn import CachedAnswer, Cdn, ValkeyAnswers, fingerprint
from apps.capabilities.llm.types import Finish, LlmRequest, Message
from apps.core.ids import uuid7
from apps.core.tenancy import NoTenant, TenantRef
from tests.capabilities.fake_provider import ANSWER, SECRET, Connect, FakeProvider

# Types that pydantic builds on first use warn then; the filter the door sets ends with the test that imported it.
pytestmark = pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")

WHOLE = "".join(ANSWER)


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def some_tenant() -> TenantRef:
    tenant_id = uuid7()
    return TenantRef(id=tenant_id, schema=f"t_{tenant_id.hex}", slug="x")


async def streamed(text: str, tenant: TenantRef) -> list[str]:
    return [piece async for piece in llm.stream(ask(text), tenant=tenant)]


def test_without_a_model_it_says_so() -> None:
    assert not llm.configured()
    with pytest.raises(LlmNotConfigured) as refused:
        llm.complete(ask("hi"), tenant=some_tenant())
    assert (refused.value.status, refused.value.code) == (409, "llm_not_configured")


def test_a_model_without_a_tenant_is_refused(connect: Connect) -> None:
    connect("ok")
    with pytest.raises(NoTenant):
        llm.complete(ask("hi"))


async def test_an_answer_streams_in_order_with_the_parameters_asked_for(
    connect: Connect, provider: FakeProvider
) -> None:
    connect("ok", LLM_API_KEY="sk-test", LLM_MAX_OUTPUT_TOKENS=77)
    assert await streamed("parameters", some_tenant()) == ANSWER
    [call] = provider.calls
    assert {name: call[name] for name in ("model", "stream", "max_tokens", "temperature", "messages")} == {
        "model": "x-ok",
        "stream": True,
        "max_tokens": 77,
        "temperature": 0.0,
        "messages": ask("parameters"),
    }


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("500", "answered with an error"),
        ("503", "answered with an error"),
        ("401", "refused the credentials"),
        ("404", "does not know this model"),
        ("429", "rate limit or quota"),
        ("400", "refused the request"),
        ("slow", "did not answer in time"),
        ("stall", "did not answer in time"),
        ("cut", "broke off"),
    ],
)
async def test_a_failing_provider_is_one_plain_error_that_tells_nothing_and_is_never_cached(
    behaviour: str, said: str, connect: Connect, provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connect(behaviour, LLM_TIMEOUT_S=0.5, LLM_API_KEY="sk-our-own-key")
    tenant = some_tenant()
    for attempt in (1, 2):
        with pytest.raises(LlmUnavailable, match=said) as refused:
            await streamed("failing", tenant)
        assert len(provider.calls) == attempt
        assert refused.value.__cause__ is None
        assert (refused.value.status, refused.value.code) == (503, "provider_unavailable")
    shown = caplog.text + repr(refused.value)
    assert SECRET not in shown
    assert "sk-our-own-key" not in shown


async def test_the_whole_answer_has_a_deadline_too(connect: Connect, provider: FakeProvider) -> None:
    connect("ok", LLM_TIMEOUT_S=5.0, LLM_DEADLINE_S=0.5)
    provider.pause_s = 0.2
    started = time.monotonic()
    with pytest.raises(LlmUnavailable, match="in time"):
        await streamed("dripping", some_tenant())
    assert time.monotonic() - started < 1.5


def test_an_unreachable_provider_is_unavailable(connect: Connect) -> None:
    connect("ok", LLM_API_BASE="http://127.0.0.1:9/v1")
    with pytest.raises(LlmUnavailable):
        llm.complete(ask("unreachable"), tenant=some_tenant())


async def test_the_second_time_is_a_cache_hit_and_another_tenant_is_a_miss(
    connect: Connect, provider: FakeProvider
) -> None:
    connect("ok")
    one, other = some_tenant(), some_tenant()
    assert await streamed("cached", one) == ANSWER
    assert await streamed("cached", one) == [WHOLE]
    assert len(provider.calls) == 1
    assert await streamed("cached", other) == ANSWER
    assert len(provider.calls) == 2
    completion = await asyncio.to_thread(llm.complete, ask("cached"), tenant=one)
    assert (completion.text, completion.cached, completion.finish.reason) == (WHOLE, True, "stop")
    assert len(provider.calls) == 2


async def test_an_answer_cut_by_its_length_is_given_but_not_cached(connect: Connect, provider: FakeProvider) -> None:
    connect("length")
    tenant = some_tenant()
    completion = await asyncio.to_thread(llm.complete, ask("long"), tenant=tenant)
    assert (completion.text, completion.finish.reason, completion.cached) == (WHOLE, "length", False)
    assert await streamed("long", tenant) == ANSWER
    assert len(provider.calls) == 2


async def test_equal_questions_in_flight_make_one_call_per_tenant(connect: Connect, provider: FakeProvider) -> None:
    connect("ok")
    provider.pause_s = 0.15
    one, other = some_tenant(), some_tenant()
    answers = await asyncio.gather(*(streamed("together", one) for _ in range(8)), streamed("together", other))
    assert {"".join(answer) for answer in answers} == {WHOLE}
    assert len(provider.calls) == 2


async def test_the_provider_is_hung_up_on_when_the_last_listener_leaves(
    connect: Connect, provider: FakeProvider
) -> None:
    connect("ok")
    provider.pause_s = 0.2
    tenant = some_tenant()
    stays = asyncio.create_task(streamed("leaving", tenant))
    async with aclosing(llm.stream(ask("leaving"), tenant=tenant)) as pieces:
        assert await anext(pieces) == ANSWER[0]
    assert await stays == ANSWER
    assert not provider.hung_up.is_set()

    provider.answer = ["word "] * 50
    async with aclosing(llm.stream(ask("leaving alone"), tenant=tenant)) as pieces:
        assert await anext(pieces) == "word "
    assert await asyncio.to_thread(provider.hung_up.wait, 2.0)
    assert await streamed("leaving", tenant) == [WHOLE]


async def test_an_abandoned_answer_is_not_cached(connect: Connect, provider: FakeProvider) -> None:
    connect("ok")
    provider.pause_s = 0.1
    tenant = some_tenant()
    async with aclosing(llm.stream(ask("abandoned"), tenant=tenant)) as pieces:
        await anext(pieces)
    await asyncio.sleep(0.7)
    assert await streamed("abandoned", tenant) == ANSWER
    assert len(provider.calls) == 2


REQUEST = LlmRequest(
    model="openai/x", api_base="http://a", messages=tuple(ask("q")), max_output_tokens=10, temperature=0.0
)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "openai/y"},
        {"api_base": "http://b"},
        {"messages": tuple(ask("other"))},
        {"messages": ({"role": "system", "content": "q"},)},
        {"max_output_tokens": 11},
        {"temperature": 0.5},
        {"response_format": {"type": "json_object"}},
        {"stop": ("\n",)},
    ],
)
def test_every_parameter_the_tenant_and_the_secret_are_in_the_fingerprint(change: dict[str, Any]) -> None:
    tenant, key = UUID(int=1), b"k" * 32
    same = fingerprint(key, tenant, REQUEST)
    assert fingerprint(key, tenant, replace(REQUEST)) == same
    assert fingerprint(key, tenant, replace(REQUEST, **change)) != same
    assert fingerprint(key, UUID(int=2), REQUEST).rpartition(":")[2] != same.rpartition(":")[2]
    assert fingerprint(b"j" * 32, tenant, REQUEST) != same


async def test_losing_the_cache_costs_a_call_and_nothing_else() -> None:
    calls = []

    async def upstream(request: LlmRequest) -> AsyncGenerator[str | Finish, None]:
        calls.append(request)
        yield "answer"
        yield Finish(reason="stop", model=request.model)

    cdn = Cdn(upstream=upstream, cache=ValkeyAnswers("redis://127.0.0.1:9/0", ttl_s=60), key=b"k" * 32)
    for count in (1, 2):
        pieces = [piece async for piece in cdn.stream(UUID(int=1), REQUEST)]
        assert pieces == ["answer", Finish(reason="stop", model="openai/x")]
        assert len(calls) == count


async def test_a_broken_cache_entry_is_a_miss(settings: Any) -> None:
    answers = ValkeyAnswers(settings.REDIS_URL, ttl_s=60)
    await answers.put("llm:test:whole", CachedAnswer(text="x", model="m"))
    assert await answers.get("llm:test:whole") == CachedAnswer(text="x", model="m")
    await answers._client.set("llm:test:broken", b"{", ex=5)
    assert await answers.get("llm:test:broken") is None
    await answers._client.aclose()


def test_litellm_is_not_imported_by_starting_django() -> None:
    code = "import django, sys; django.setup(); print('litellm' in sys.modules, 'openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_package_left_no_start_up_hook() -> None:
    """Version 1.82.8 was malicious and ran by a .pth file at every interpreter start."""
    folders = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    assert [path for folder in folders for path in folder.glob("*litellm*.pth")] == []
