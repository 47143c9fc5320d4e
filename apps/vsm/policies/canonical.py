"""One byte string per value: sorted keys, no spaces, UTF-8. Hashes are BLAKE3 of it, in hex."""

import json
from typing import Any

from blake3 import blake3


def canonical_bytes(value: Any) -> bytes:
    """Raises ValueError on NaN and infinities, which JSON does not have."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest(value: Any) -> str:
    return str(blake3(canonical_bytes(value)).hexdigest())
