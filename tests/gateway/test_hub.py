"""The ring and the slow reader, without a server: the client is a send() that waits."""

import asyncio
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.events import StoredEvent
from apps.core.ids import uuid7
from apps.core.tenancy import TenantRef
from apps.gateway.asgi.events import follow
from apps.gateway.hub import Feed, Lagged, Stream
from apps.gateway.sse import EventStream, parse_event_id
from apps.tenants.selectors import Principal

REF = TenantRef(uuid4(), "t_0000000000000000", "ring")


def stored(seq: int) -> StoredEvent:
    return StoredEvent(uuid7(), "ring.moved", {"mark": seq}, uuid7(), datetime.now(UTC), seq)


def make_stream(feed: Feed) -> Stream:
    stream = Stream(feed, Principal("key", uuid4(), REF, "viewer", "key:x"), ("*",), HttpRequest)
    feed.streams.add(stream)
    return stream


@given(size=st.integers(1, 40), batches=st.lists(st.integers(1, 50), max_size=20), position=st.integers(0, 400))
async def test_after_gives_what_follows_or_says_that_it_is_gone(size: int, batches: list[int], position: int) -> None:
    feed = Feed(REF, epoch="e", head=10, size=size)
    head = 10
    for count in batches:
        feed.append([stored(seq) for seq in range(head + 1, head + count + 1)])
        head += count
    assert feed.head == head
    assert head - feed.floor <= 2 * size + 50
    if position < feed.floor:
        with pytest.raises(Lagged):
            feed.after(position)
    else:
        expected = list(range(position + 1, head + 1))[:256]
        assert [frame.seq for frame in feed.after(position)] == expected


async def test_events_seen_twice_are_added_once() -> None:
    feed = Feed(REF, epoch="e", head=0, size=10)
    feed.append([stored(1), stored(2)])
    feed.append([stored(1), stored(2), stored(3)])
    assert [frame.seq for frame in feed.after(0)] == [1, 2, 3]


async def test_a_slow_reader_is_told_and_ended_while_others_go_on() -> None:
    feed = Feed(REF, epoch="e", head=0, size=10)
    may_read = asyncio.Event()
    slow_bytes, quick_bytes = bytearray(), bytearray()

    async def slow_send(message: MutableMapping[str, Any]) -> None:
        slow_bytes.extend(message["body"])
        await may_read.wait()

    async def quick_send(message: MutableMapping[str, Any]) -> None:
        quick_bytes.extend(message["body"])

    slow = asyncio.create_task(follow(make_stream(feed), EventStream(slow_send)))
    quick = asyncio.create_task(follow(make_stream(feed), EventStream(quick_send)))
    for seq in range(1, 101):
        feed.append([stored(seq)])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert quick_bytes.count(b"event: ring.moved") == 100
    assert slow_bytes.count(b"event: ring.moved") == 1
    may_read.set()
    await asyncio.wait_for(slow, 1)
    assert b'event: lagged\ndata: {"last_id":"e-1","behind":99}' in slow_bytes
    assert not quick.done()
    quick.cancel()


@given(st.text(max_size=60))
def test_any_text_as_an_id_is_parsed_or_refused(text: str) -> None:
    parsed = parse_event_id(text)
    assert parsed is None or (len(parsed[0]) <= 16 and 0 <= parsed[1] < 10**19)
