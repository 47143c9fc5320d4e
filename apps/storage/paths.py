"""What a storage path may look like."""

import unicodedata

from apps.storage.conf import PATH_LIMIT_BYTES
from apps.storage.errors import PathInvalid

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}


def check_path(path: str) -> str:
    """`path`, if it is a relative POSIX path in normal form. Raises PathInvalid.

    No empty, `.` or `..` part, no backslash, no control character, NFC, at most 512 bytes of UTF-8. The tenant is no
    part of it: the service adds it from the context.
    """
    if any(unicodedata.category(char) in _CONTROL for char in path):
        raise PathInvalid("A storage path may not hold control characters.")
    if not path or len(path.encode()) > PATH_LIMIT_BYTES:
        raise PathInvalid(f"A storage path has 1 to {PATH_LIMIT_BYTES} bytes.")
    if "\\" in path or unicodedata.normalize("NFC", path) != path:
        raise PathInvalid("A storage path uses / and composed characters (NFC).")
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise PathInvalid("A storage path is relative, without empty, '.' or '..' parts.")
    return path
