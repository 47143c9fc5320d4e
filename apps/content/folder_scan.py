"""Finding and reading files for the ingest command. Only commands import this: the API has no way to a path."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from apps.content.conf import ingest_settings
from apps.content.extraction import SUFFIXES
from apps.content.models import Source
from apps.content.services.folders import FileItem
from apps.core.errors import NotFound

BUILTIN_URI = "builtin:documentation"
BUILTIN_FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


class PathMissing(NotFound):
    code = "path_missing"
    title = "No such file or folder"


@dataclass
class Folder:
    """Files to take in from one root. `whole`: they are all the root has, so documents of other files are gone."""

    root: Path
    uri: str
    name: str
    kind: Source.Kind
    whole: bool
    files: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def items(self) -> Iterator[FileItem]:
        """Reads one file at a time; one that cannot be read says why."""
        for path in self.files:
            external_id = path.relative_to(self.root).as_posix().encode("utf-8", "replace").decode()
            uri = f"builtin:{external_id}" if self.kind == Source.Kind.BUILTIN else path.as_uri()
            yield _read(path, external_id, uri)


def scan(targets: list[str]) -> list[Folder]:
    """One Folder per folder given, and one per parent of single files. Raises PathMissing."""
    folders: dict[tuple[Path, bool], Folder] = {}
    for target in targets:
        path = Path(target).expanduser().resolve()
        if path.is_dir():
            folder = folders.setdefault((path, True), _folder(path, whole=True))
            folder.files, folder.skipped = _walk(path)
        elif path.is_file():
            folder = folders.setdefault((path.parent, False), _folder(path.parent, whole=False))
            if path.suffix.lower() in SUFFIXES:
                folder.files.append(path)
            else:
                folder.skipped[path.suffix.lower()] += 1
        else:
            raise PathMissing(f"There is no file or folder {target}.")
    return list(folders.values())


def bundled_documentation() -> Folder:
    """The documentation that comes with the platform."""
    root = Path(settings.BASE_DIR)
    docs, _ = _walk(root / "docs")
    return Folder(
        root=root,
        uri=BUILTIN_URI,
        name="Cybernetic documentation",
        kind=Source.Kind.BUILTIN,
        whole=True,
        files=[path for name in BUILTIN_FILES if (path := root / name).is_file()] + docs,
    )


def _folder(root: Path, *, whole: bool) -> Folder:
    return Folder(root=root, uri=root.as_uri(), name=root.name or str(root), kind=Source.Kind.PATH, whole=whole)


def _walk(root: Path) -> tuple[list[Path], Counter[str]]:
    """Supported files below a folder in a stable order, hidden ones left out; links to folders are not followed."""
    files: list[Path] = []
    skipped: Counter[str] = Counter()
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or not path.is_file():
                continue
            if path.suffix.lower() in SUFFIXES:
                files.append(path)
            else:
                skipped[path.suffix.lower()] += 1
    return files, skipped


def _read(path: Path, external_id: str, uri: str) -> FileItem:
    limit = ingest_settings().max_document_bytes
    try:
        if path.stat().st_size > limit:
            return FileItem(external_id, uri, None, "body_too_large", f"The file has more than {limit} bytes.")
        return FileItem(external_id, uri, path.read_bytes())
    except OSError as error:
        return FileItem(external_id, uri, None, "file_unreadable", f"The file cannot be read: {error.strerror}.")
