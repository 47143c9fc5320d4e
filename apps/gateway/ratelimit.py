"""Rate limits by GCRA: one theoretical arrival time per key, the server's own clock, exact across processes.

Valkey holds the times. While it is away each process keeps its own at its share of the rate: never unlimited.
"""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

from redis import Redis
from redis.exceptions import RedisError

from apps.core.api.errors import RateLimited
from apps.core.conf import core_settings
from apps.core.tenancy import TenantRef
from apps.gateway.conf import gateway_settings
from apps.tenants.selectors import Principal

LOCAL_KEYS = 10_000
VALKEY_PAUSE_S = 5.0

# KEYS[1] the key; ARGV: microseconds per request, requests in a burst. Returns 0, or the microseconds to wait.
GCRA = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local step = tonumber(ARGV[1])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = tat + step - now - step * tonumber(ARGV[2])
if wait > 0 then return wait end
redis.call('SET', KEYS[1], string.format('%.0f', tat + step), 'PX', math.ceil((tat + step - now) / 1000) + 1000)
return 0
"""


@dataclass(frozen=True)
class Rate:
    """`per_minute` requests a minute, `burst` of them at once after a pause."""

    per_minute: int
    burst: int

    @property
    def step_us(self) -> int:
        return 60_000_000 // self.per_minute


class LocalLimiter:
    """GCRA in this process's memory, for the least recently seen 10,000 keys."""

    def __init__(self) -> None:
        self._arrivals: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def wait_us(self, key: str, rate: Rate) -> float:
        """0 when the request may pass, else microseconds until one may."""
        now = time.monotonic() * 1e6
        with self._lock:
            arrival = max(self._arrivals.pop(key, now), now)
            wait = arrival + rate.step_us - now - rate.step_us * rate.burst
            self._arrivals[key] = arrival if wait > 0 else arrival + rate.step_us
            while len(self._arrivals) > LOCAL_KEYS:
                self._arrivals.popitem(last=False)
        return max(wait, 0.0)


class RateLimiter:
    """Valkey first; after an error the local one for a few seconds."""

    def __init__(self, client: Redis, *, processes: int) -> None:
        self._script = client.register_script(GCRA)
        self._local = LocalLimiter()
        self._processes = processes
        self._valkey_after = 0.0

    def check(self, key: str, rate: Rate) -> None:
        """Count one request under `key`. Raises RateLimited with the seconds to wait."""
        wait_us = self._wait_us(key, rate)
        if wait_us > 0:
            raise RateLimited(math.ceil(wait_us / 1e6))

    def _wait_us(self, key: str, rate: Rate) -> float:
        if time.monotonic() >= self._valkey_after:
            try:
                return float(self._script(keys=[f"rate:{key}"], args=[rate.step_us, rate.burst]))
            except RedisError:
                self._valkey_after = time.monotonic() + VALKEY_PAUSE_S
        share = Rate(max(rate.per_minute // self._processes, 1), max(rate.burst // self._processes, 1))
        return self._local.wait_us(key, share)


@cache
def limiter() -> RateLimiter:
    """This process's limiter. Time-outs are short: a Valkey that hangs must not hold requests."""
    client = Redis.from_url(core_settings().redis_url, socket_timeout=0.25, socket_connect_timeout=0.25)
    return RateLimiter(client, processes=gateway_settings().rate_processes)


def limit_sign_in(tenant: TenantRef, address: str, account: str) -> None:
    """Count one attempt to sign in, by where it comes from and by whom it tries. Raises RateLimited."""
    options = gateway_settings()
    rate = Rate(options.sign_ins_per_minute, options.sign_ins_per_minute)
    account_hash = hashlib.sha256(account.strip().lower().encode(errors="replace")).hexdigest()[:32]
    for key in (f"address:{address}", f"account:{account_hash}"):
        limiter().check(f"{tenant.id}:sign_in:{key}", rate)


def limit_principal(principal: Principal) -> None:
    """Count one API request of a principal. Raises RateLimited."""
    options = gateway_settings()
    limiter().check(
        f"{principal.tenant.id}:{principal.kind}:{principal.id}", Rate(options.rate_per_minute, options.rate_burst)
    )
