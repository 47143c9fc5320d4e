"""What `make up`, `down` and `reset` say: a live line on a terminal, plain lines when piped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status

_STILL_EVERY_S = 15.0


class Step:
    """One step in progress. `tell` changes what the terminal shows beside it."""

    def __init__(self, name: str, announce: Callable[[str], None], status: Status | None) -> None:
        self._name = name
        self._announce = announce
        self._status = status
        self._started = self._said = time.monotonic()
        self.detail = ""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def tell(self, text: str) -> None:
        """Show progress now: at once on a terminal, every 15 s in a pipe."""
        if self._status is not None:
            self._status.update(f"{self._name}  [dim]{text} {self.elapsed_s:.0f} s[/dim]")
        elif time.monotonic() - self._said >= _STILL_EVERY_S:
            self._said = time.monotonic()
            self._announce(f"  ...  {self._name}: {text} ({self.elapsed_s:.0f} s)")


class Talk:
    """Prints lines and steps. A reader that went away (closed terminal, `| head`) ends the talk, not the platform."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self._deaf = False

    def line(self, text: str = "", *, style: str | None = None) -> None:
        self._write(self._console.print, text, style=style, markup=False)

    def error(self, text: str) -> None:
        self._write(self._errors.print, text, style="bold red", markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while it runs, then one line with its duration."""
        if self._console.is_terminal and not self._deaf:
            with self._console.status(name) as status:
                step = Step(name, self.line, status)
                yield step
        else:
            step = Step(name, self.line, None)
            yield step
        self.line(f"  ok  {name}{f' ({step.detail})' if step.detail else ''}  {step.elapsed_s:.1f} s")

    def _write(self, call: Callable[..., None], *values: Any, **options: Any) -> None:
        if self._deaf:
            return
        try:
            call(*values, **options)
        except OSError:
            self._deaf = True
