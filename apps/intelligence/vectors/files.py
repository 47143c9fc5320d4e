"""A tenant's index on disk: a cache of PostgreSQL, checked before it is believed.

<indexes>/<tenant id>/<model>.json is the header; it names the graph file and the list of labels with their marks,
each with its checksum. The header is replaced last, so a reader sees one complete state or the one before it.
"""

import os
import re
import secrets
import shutil
from pathlib import Path
from uuid import UUID

import msgspec
import numpy as np
from blake3 import blake3

from apps.intelligence.vectors.hnsw import HnswIndex

FORMAT = 1


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    tenant: UUID
    model_id: str
    dim: int
    count: int
    graph: str
    graph_checksum: str
    marks: str
    marks_checksum: str


class FileRefused(Exception):
    """The files are not those of this tenant and model, or not whole: build the index from PostgreSQL."""


def tenant_folder(root: Path, tenant_id: UUID) -> Path:
    return root / str(tenant_id)


def save(root: Path, tenant_id: UUID, model_id: str, dim: int, index: HnswIndex) -> None:
    """Write the index beside its predecessor, then switch the header over."""
    folder = tenant_folder(root, tenant_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stem, generation = _stem(model_id), secrets.token_hex(4)
    graph, marks = folder / f"{stem}-{generation}.bin", folder / f"{stem}-{generation}.npy"
    header, partial = folder / f"{stem}.json", folder / f"{stem}-{generation}.partial"
    try:
        held = index.save(graph)
        np.save(marks, np.array(sorted(held.items()), np.int64).reshape(-1, 2))
        record = Header(
            FORMAT, tenant_id, model_id, dim, len(held), graph.name, _checksum(graph), marks.name, _checksum(marks)
        )
        partial.write_bytes(msgspec.json.encode(record))
        for file in (graph, marks, partial):
            _sync(file)
        partial.replace(header)
        _sync(folder)
    except BaseException:
        for file in (graph, marks, partial):
            file.unlink(missing_ok=True)
        raise
    for file in folder.glob(f"{stem}-*"):
        if file not in {graph, marks}:
            file.unlink(missing_ok=True)


def load(root: Path, tenant_id: UUID, model_id: str, dim: int) -> HnswIndex | None:
    """The saved index, or None when there is none. Raises FileRefused."""
    folder = tenant_folder(root, tenant_id)
    file = folder / f"{_stem(model_id)}.json"
    try:
        header = msgspec.json.decode(file.read_bytes(), type=Header)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise FileRefused(f"the header cannot be read: {error}") from error
    if (header.format, header.tenant, header.model_id, header.dim) != (FORMAT, tenant_id, model_id, dim):
        raise FileRefused("the header names another tenant, model, dimension or format")
    graph, marks = folder / Path(header.graph).name, folder / Path(header.marks).name
    try:
        if _checksum(graph) != header.graph_checksum or _checksum(marks) != header.marks_checksum:
            raise FileRefused("a file is not the one that was written")
        pairs = np.load(marks, allow_pickle=False)
        if pairs.shape != (header.count, 2):
            raise FileRefused("the number of labels differs from the header")
        return HnswIndex(dim, file=graph, marks=dict(pairs.tolist()))
    except (OSError, ValueError, RuntimeError) as error:
        raise FileRefused(f"the files cannot be read: {error}") from error


def remove(root: Path, tenant_id: UUID) -> None:
    """Delete a tenant's index files; they are built again from PostgreSQL when needed."""
    shutil.rmtree(tenant_folder(root, tenant_id), ignore_errors=True)


def _stem(model_id: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.]+', '_', model_id)[:60]}.{blake3(model_id.encode()).hexdigest()[:8]}"


def _checksum(file: Path) -> str:
    return str(blake3().update_mmap(file).hexdigest())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
