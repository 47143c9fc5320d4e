"""Makes .venv and installs the locked packages: `python3 scripts/bootstrap.py base|dev`. Standard library only.

A stamp in .venv remembers what is installed, so a later start neither needs the network nor takes time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
LOG = VENV / "install.log"
OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_BYTES = 2_500_000_000
TERMINAL = sys.stdout.isatty()


class InstallFailed(Exception):
    """The install cannot go on. Its text is the whole message for the person at the terminal."""


def say(text: str, *, same_line: bool = False) -> None:
    """One line of progress; on a terminal the next one may replace it."""
    if TERMINAL:
        sys.stdout.write(
            "\r\x1b[K" + text[: shutil.get_terminal_size().columns - 1] if same_line else "\r\x1b[K" + text + "\n"
        )
    elif not same_line:
        sys.stdout.write(text + "\n")
    sys.stdout.flush()


def use_supported_python() -> None:
    """Continue under Python 3.11-3.13, looking for one when `python3` is another version."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606  # the same script under a supported interpreter
    here = ".".join(str(part) for part in sys.version_info[:2])
    raise InstallFailed(
        f"Python 3.11, 3.12 or 3.13 is needed and only {here} was found: install one, then run this again."
    )


def make_venv() -> None:
    """Create .venv, or replace one whose interpreter no longer runs or is of another version."""
    check = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
    if PYTHON.exists() and subprocess.run([str(PYTHON), "-c", check], capture_output=True, check=False).returncode == 0:
        return
    say(f"Making .venv with Python {sys.version.split()[0]} ...")
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stdout + done.stderr
        if "ensurepip" in said:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            raise InstallFailed(
                f"Python's venv module is incomplete: install it (Debian, Ubuntu: `apt install python{version}-venv`)."
            )
        raise InstallFailed(f"{VENV} could not be made: {said.strip().splitlines()[-1]}")


def fingerprint(*names: str) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update((ROOT / "requirements" / name).read_bytes())
    return digest.hexdigest()


def read_stamp() -> dict[str, str]:
    try:
        stored = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) and PYTHON.exists() else {}


def pip_install(title: str, lock: str, *options: str, environment: dict[str, str] | None = None) -> None:
    """Install one lock file, hashes required, showing which package it is at."""
    total = len(re.findall(r"^[A-Za-z0-9._-]+(\[.*\])?==", (ROOT / "requirements" / lock).read_text(), re.MULTILINE))
    command = [
        str(PYTHON), "-m", "pip", "install", "--require-hashes", "--disable-pip-version-check", "--no-input", "--progress-bar", "off",
        *options, "-r", str(ROOT / "requirements" / lock),
    ]  # fmt: skip
    started = time.monotonic()
    say(f"{title} ...")
    pip = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environment or {})}
    )
    with LOG.open("a") as log:
        errors = follow(pip, log, total)
    if pip.wait() != 0:
        raise InstallFailed(explain(errors))
    say(f"  done in {time.monotonic() - started:.0f} s")


def follow(pip: subprocess.Popen[str], log: TextIO, total: int) -> list[str]:
    """Show pip's progress, keep its whole output in `log`, and return the lines that tell of errors."""
    started, seen, errors = time.monotonic(), 0, []
    for line in pip.stdout or ():
        log.write(line)
        elapsed = int(time.monotonic() - started)
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            seen += 1
            name = re.split(r"[=<>;\[ ]", line.split(": ", 1)[-1].removeprefix("Collecting ").strip())[0]
            say(f"  {seen}/{max(seen, total)} {name} ({elapsed} s)", same_line=bool(TERMINAL or seen % 25))
        elif line.startswith("Installing collected packages"):
            say(f"  unpacking ({elapsed} s) ...", same_line=TERMINAL)
        elif "ERROR:" in line or "No space left" in line:
            errors.append(line.strip())
    return errors


def explain(errors: list[str]) -> str:
    text = "\n".join(errors)
    if "No space left" in text:
        return f"The disk of {ROOT} is full: free about {NEEDED_BYTES // 10**9 + 1} GB and run this again."
    if "HASHES" in text or "hash" in text.lower():
        return f"A downloaded package does not match its recorded hash, so nothing was installed (details: {LOG})."
    if "No matching distribution" in text or "Could not install" in text or "Connection" in text:
        return f"The package index could not be reached or lacks a package for this system (details: {LOG}): check the network and run this again."
    return f"The install failed: {errors[-1] if errors else 'pip gave no reason'} (details: {LOG})."


def missing_for_hnswlib() -> str:
    """What building hnswlib lacks here, as the sentence to show; empty when nothing."""
    include = subprocess.run(
        [str(PYTHON), "-c", "import sysconfig; print(sysconfig.get_path('include'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    version = Path(include).name.replace("python", "")
    lacking = []
    if compiler() is None:
        lacking.append("a C++ compiler (Debian, Ubuntu: `apt install g++`; macOS: `xcode-select --install`)")
    if not (Path(include) / "Python.h").exists():
        lacking.append(f"Python.h (Debian, Ubuntu: `apt install python{version}-dev`)")
    return " and ".join(lacking)


def compiler() -> str | None:
    return os.environ.get("CXX") or next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)


def install_hnswlib() -> str:
    """Build hnswlib; '' on success, else the sentence that says why pgvector serves instead."""
    lacking = missing_for_hnswlib()
    if lacking:
        return f"hnswlib was not built, pgvector serves vector search: install {lacking} and run this again."
    cxx = compiler() or "c++"
    # Without -march=native the build also runs on another machine; GCC and Clang both take C++ through CC.
    environment = {
        "HNSWLIB_NO_NATIVE": "1",
        "CC": cxx,
        "CXX": cxx,
        **{k: v for k, v in os.environ.items() if k == "HNSWLIB_NO_NATIVE"},
    }
    try:
        pip_install("Installing what hnswlib is built with", "hnswlib-build.txt", "--only-binary=:all:")
        pip_install("Building hnswlib (half a minute)", "hnswlib.txt", "--no-build-isolation", environment=environment)
    except InstallFailed:
        return f"hnswlib could not be built, pgvector serves vector search (details: {LOG})."
    return ""


def install(level: str) -> None:
    locks = {
        "base": fingerprint("base.txt"),
        "dev": fingerprint("dev.txt"),
        "hnswlib": fingerprint("hnswlib.txt", "hnswlib-build.txt"),
    }
    stamp = read_stamp()
    # dev holds everything of base at the same versions, so it serves both.
    ready = stamp.get("dev") == locks["dev"] or (level == "base" and stamp.get("base") == locks["base"])
    if ready and stamp.get("hnswlib") == locks["hnswlib"]:
        return
    if not ready:
        free = shutil.disk_usage(ROOT).free
        if free < NEEDED_BYTES:
            raise InstallFailed(
                f"Only {free / 1e9:.1f} GB are free on the disk of {ROOT} and the install needs {NEEDED_BYTES / 1e9:.1f} GB."
            )
        make_venv()
        LOG.unlink(missing_ok=True)
        pip_install("Installing packages (first time: one to five minutes)", f"{level}.txt")
        stamp = {**read_stamp(), level: locks[level]}
        STAMP.write_text(json.dumps(stamp))
    if stamp.get("hnswlib") != locks["hnswlib"]:
        note = install_hnswlib()
        if note:
            say(f"Note: {note}")
        else:
            STAMP.write_text(json.dumps({**stamp, "hnswlib": locks["hnswlib"]}))


def main() -> int:
    level = sys.argv[1] if len(sys.argv) == 2 else "base"
    try:
        use_supported_python()
        install(level)
    except InstallFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"The install cannot write {error.filename or VENV} ({error.strerror}): free or repair it and run this again.\n"
        )
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. Run it again to go on.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
