"""`make bench`: a platform of its own, PostgreSQL's manual brought in, then quality and latency beside named peers.

CORPUS names another folder of HTML; the questions are about Debian's postgresql-doc-15. Takes about a quarter of an hour.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.platform import ROOT, Platform

CORPUS = Path(os.environ.get("CORPUS", "/usr/share/doc/postgresql-doc-15/html"))
RESULTS = ROOT / "var" / "benchmarks"


def run(platform: Platform, *command: str) -> int:
    """Run one command beside the platform, its output on this terminal."""
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=platform.environment, check=False).returncode


def main() -> int:
    """Exit status 0 when every benchmark ran."""
    if not CORPUS.is_dir():
        sys.stderr.write(
            f"{CORPUS} is not there: apt-get install postgresql-doc-15, or name another folder in CORPUS.\n"
        )
        return 2
    RESULTS.mkdir(parents=True, exist_ok=True)
    platform = Platform()
    try:
        platform.start()
        failed = run(platform, "manage.py", "ingest", str(CORPUS), "--tenant", "demo", "--wait")
        for name in ("retrieval", "search_latency"):
            out = str(RESULTS / f"{name}.json")
            failed |= run(platform, "-m", f"tests.benchmarks.{name}", "--url", platform.base_url, "--out", out)
    finally:
        platform.discard()
    sys.stdout.write(f"Results as JSON: {RESULTS}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
