"""Time-ordered identifiers."""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A UUID version 7 (RFC 9562 5.7): 48 bits of Unix milliseconds, then 74 random bits.

    Sorting by it is sorting by creation time to the millisecond, so lists page on the primary key.
    """
    value = int.from_bytes(int(time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)
