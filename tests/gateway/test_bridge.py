"""Replies on their way to slow clients."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from apps.gateway.asgi.bridge import _Budget, _Outbox


def piece(size: int) -> dict[str, Any]:
    return {"type": "http.response.body", "body": b"x" * size, "more_body": True}


async def test_order_is_kept_and_everything_given_back() -> None:
    got: list[int] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(0)
        got.append(len(message["body"]))

    budget = _Budget(100)
    outbox = _Outbox(send, limit_bytes=50, budget=budget)
    sending = asyncio.create_task(outbox.send_all())
    for size in range(60):
        await outbox.put(piece(size))
    outbox.close()
    await asyncio.wait_for(sending, 1)
    assert got == list(range(60))
    assert budget.held_bytes == 0


async def test_a_writer_waits_at_its_limit_and_at_everyones() -> None:
    async def never(message: MutableMapping[str, Any]) -> None:
        await asyncio.Event().wait()

    budget = _Budget(100)
    first = _Outbox(never, limit_bytes=80, budget=budget)
    await first.put(piece(80))
    waiting = asyncio.create_task(first.put(piece(1)))
    second = _Outbox(never, limit_bytes=80, budget=budget)
    await second.put(piece(20))
    waiting_too = asyncio.create_task(second.put(piece(1)))
    third = _Outbox(never, limit_bytes=80, budget=budget)
    await asyncio.wait_for(third.put(piece(5)), 1)  # the first piece always finds room: nobody starves
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert not waiting_too.done()
    for task in (waiting, waiting_too):
        task.cancel()
    for outbox in (first, second, third):
        outbox.release()
    assert budget.held_bytes == 0


async def test_a_client_that_breaks_off_frees_its_writer() -> None:
    async def broken(message: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(0.01)
        raise ConnectionResetError

    outbox = _Outbox(broken, limit_bytes=1, budget=_Budget(100))
    sending = asyncio.create_task(outbox.send_all())
    await outbox.put(piece(10))
    await asyncio.wait_for(outbox.put(piece(10)), 1)
    assert isinstance((await asyncio.gather(sending, return_exceptions=True))[0], ConnectionResetError)
