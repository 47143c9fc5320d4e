"""What `make up`, `down` and `reset` say: a live line on a terminal, plain lines when piped."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape

_STILL_EVERY_S = 15.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go quiet; rich would end the process."""
        self.quiet = True


class Step:
    """One step in progress. `detail` set by its end goes into its line."""

    def __init__(self, name: str, show: Callable[[str, float], None]) -> None:
        self._name = name
        self._show = show
        self._started = time.monotonic()
        self.detail = ""

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def tell(self, text: str) -> None:
        """Show progress now: at once on a terminal, every 15 s in a pipe."""
        self._show(text, self.elapsed_s)

    def result(self) -> str:
        return f"  ok  {self._name}{f' ({self.detail})' if self.detail else ''}  {self.elapsed_s:.1f} s"


class Talk:
    """Prints lines and steps. A reader that went away (closed terminal, `| head`) ends the talk, not the platform."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False, soft_wrap=True)
        self._errors = _Console(stderr=True, highlight=False, soft_wrap=True)
        self._deaf = False

    def line(self, text: str = "", *, style: str | None = None) -> None:
        self._write(self._console.print, text, style=style, markup=False)

    def error(self, text: str) -> None:
        self._write(self._errors.print, text, style="bold red", markup=False)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while it runs, then one line with its duration; nothing when it fails, the reason follows."""
        if self._console.is_terminal:
            status = self._console.status(escape(name))
            step = Step(
                name,
                lambda text, elapsed_s: self._write(
                    status.update, f"{escape(name)}  [dim]{escape(text)} {elapsed_s:.0f} s[/dim]"
                ),
            )
            self._write(status.start)
            try:
                yield step
            finally:
                self._write(status.stop)
        else:
            step = Step(name, self._still(name))
            yield step
        self.line(step.result())

    def _still(self, name: str) -> Callable[[str, float], None]:
        said_s = 0.0

        def show(text: str, elapsed_s: float) -> None:
            nonlocal said_s
            if elapsed_s - said_s >= _STILL_EVERY_S:
                said_s = elapsed_s
                self.line(f"  ...  {name}{f': {text}' if text else ''} ({elapsed_s:.0f} s)")

        return show

    def _write(self, call: Callable[..., None], *values: Any, **options: Any) -> None:
        if self._deaf:
            return
        try:
            call(*values, **options)
        except OSError:
            self._deaf = True
