"""`python -m apps.core.embedded.reset`: stop the platform and remove its data directory, after asking."""

import os
import shutil
import sys

from apps.core.embedded.console import Talk
from apps.core.embedded.down import stop_running
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.paths import MARKER, DataDir, data_dir


def remove_data(files: DataDir, talk: Talk, *, agreed: bool) -> None:
    """Raises StartFailed for a folder that is not ours, and when nobody agreed."""
    if not files.root.exists():
        talk.line(f"There is no data in {files.root}: nothing was removed.")
        return
    if not (files.root / MARKER).exists():
        raise StartFailed(f"{files.root} was not made by Cybernetic: nothing was removed.")
    if not agreed and not _agrees(files):
        raise StartFailed("Nothing was removed. (`make reset YES=1` removes without asking.)")
    stop_running(files, talk)
    shutil.rmtree(files.run, ignore_errors=True)
    shutil.rmtree(files.root)
    talk.line(f"Removed {files.root} with its database, documents, indexes, logs and passwords.")
    if os.environ.get("DATABASE_URL"):
        talk.line("The database of DATABASE_URL was not touched.")


def _agrees(files: DataDir) -> bool:
    if not sys.stdin.isatty():
        return False
    return (
        input(f"Remove {files.root} with the database, all documents and passwords? Type yes: ").strip().lower()
        == "yes"
    )


def main() -> int:
    talk = Talk()
    try:
        remove_data(data_dir(), talk, agreed=os.environ.get("YES") == "1")
    except StartFailed as error:
        talk.error(str(error))
        return 1
    except OSError as error:
        talk.error(f"Not everything could be removed ({error}): run this as the folder's owner.")
        return 1
    except (KeyboardInterrupt, EOFError):
        talk.error("\nNothing was removed.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
