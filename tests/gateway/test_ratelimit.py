"""GCRA, on the suite's Valkey and without one."""

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from redis import Redis

from apps.core.api.errors import RateLimited
from apps.core.conf import core_settings
from apps.core.tenancy import TenantRef
from apps.gateway.ratelimit import LocalLimiter, Rate, RateLimiter, limiter
from tests.gateway.conftest import LiveServer

RATE = Rate(per_minute=600, burst=20)


def nowhere(processes: int) -> RateLimiter:
    return RateLimiter(Redis.from_url("unix:///nonexistent/valkey.sock"), processes=processes)


def passed(check: Callable[[], None], attempts: int) -> int:
    count = 0
    for _ in range(attempts):
        try:
            check()
        except RateLimited:
            continue
        count += 1
    return count


def test_burst_then_rate_exactly_across_threads_and_clients() -> None:
    """400 attempts through four clients: the burst, and one more per 100 ms that they took."""
    key, counts = f"test:{uuid4()}", []
    limiters = [RateLimiter(Redis.from_url(core_settings().redis_url), processes=1) for _ in range(4)]
    started = time.monotonic()
    threads = [
        threading.Thread(target=lambda one=one: counts.append(passed(lambda: one.check(key, RATE), 100)))
        for one in limiters
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    earned = (time.monotonic() - started) * RATE.per_minute / 60
    assert RATE.burst <= sum(counts) <= RATE.burst + earned + 1


def test_retry_after_is_right() -> None:
    key, slow = f"test:{uuid4()}", Rate(per_minute=20, burst=1)
    limiter().check(key, slow)
    with pytest.raises(RateLimited) as refused:
        limiter().check(key, slow)
    assert refused.value.extra["retry_after_s"] == 3
    assert refused.value.status == 429


def test_a_refused_request_costs_nothing() -> None:
    key, rate = f"test:{uuid4()}", Rate(per_minute=600, burst=1)
    limiter().check(key, rate)
    assert passed(lambda: limiter().check(key, rate), 20) <= 1
    time.sleep(0.11)
    limiter().check(key, rate)


def test_keys_are_independent() -> None:
    for _ in range(3):
        limiter().check(f"test:{uuid4()}", Rate(per_minute=1, burst=1))


def test_without_valkey_each_process_keeps_to_its_share() -> None:
    one_of_four = nowhere(processes=4)
    assert passed(lambda: one_of_four.check("k", RATE), 100) in {5, 6}


def test_the_local_limiter_forgets_the_least_recent() -> None:
    local = LocalLimiter()
    rate = Rate(per_minute=1, burst=1)
    for number in range(10_050):
        assert local.wait_us(str(number), rate) == 0
    assert len(local._arrivals) == 10_000
    assert local.wait_us("10049", rate) > 0


def test_guessing_a_password_is_slowed_down(server: LiveServer, tenant: TenantRef) -> None:
    with server.client(tenant) as client:
        client.get("/login/")
        token = {"X-CSRFToken": client.cookies["cybernetic_csrf"]}
        for attempt in range(21):
            reply = client.post("/login/", data={"username": "a@b.c", "password": f"guess {attempt}"}, headers=token)
            if attempt < 20:
                assert reply.status_code != 429
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) in {1, 2, 3}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/events"])
def test_api_replies_429_with_retry_after(
    server: LiveServer,
    tenant: TenantRef,
    make_key: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    def exhausted(principal: object) -> None:
        raise RateLimited(9)

    monkeypatch.setattr("apps.gateway.middleware.limit_principal", exhausted)
    monkeypatch.setattr("apps.gateway.asgi.native.limit_principal", exhausted)
    with server.client(tenant, make_key(tenant)) as client:
        reply = client.get(path)
    assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
    assert reply.headers["retry-after"] == "9"
