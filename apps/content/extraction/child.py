"""Runs alone in a child process: a large document on stdin, its text as JSON on stdout.

Threads cannot be stopped; what may take long is read here, where a time limit ends it.
"""

import contextlib
import json
import resource
import sys
from dataclasses import asdict

from apps.content.extraction.errors import ExtractionError
from apps.content.extraction.readers import read_here


def main() -> None:
    memory_bytes, cpu_s, kind, charset = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    with contextlib.suppress(ValueError, OSError):  # macOS refuses RLIMIT_AS; the time limits still hold
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = {"extracted": asdict(read_here(sys.stdin.buffer.read(), kind, charset or None))}
    except ExtractionError as error:
        answer = {"error": {"code": error.code, "detail": error.detail}}
    except MemoryError:
        answer = {"error": {"code": "extraction_too_large", "detail": "The document needs too much memory."}}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
