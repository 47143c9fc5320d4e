"""Messages between the index owner and its callers: a length of four bytes, then MessagePack."""

import socket
import struct
from typing import TypeVar
from uuid import UUID

import msgspec
import numpy as np

from apps.intelligence.ports import Vectors

MAX_FRAME_BYTES = 4_194_304
MAX_TEXT_CHARS = 20_000
MAX_K = 1000
T = TypeVar("T")
_LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages."""


class Search(Message, frozen=True):
    """Nearest labels of a text or of a vector (float32 bytes) in one tenant."""

    tenant: UUID
    model_id: str
    k: int
    text: str = ""
    vector: bytes = b""


class Embed(Message, frozen=True):
    tenant: UUID
    model_id: str
    text: str


class Refresh(Message, frozen=True):
    """The tenant has news."""

    tenant: UUID


class Rebuild(Message, frozen=True):
    """Throw the tenant's index away and build it from PostgreSQL."""

    tenant: UUID


class Drop(Message, frozen=True):
    """The tenant is gone: forget its index and delete its files."""

    tenant: UUID


class Status(Message, frozen=True):
    pass


class Hits(Message, frozen=True):
    labels: list[int]
    scores: list[float]
    vector: bytes


class NoIndex(Message, frozen=True):
    """The vector of the query, but no index to search: `reason` is being built, or hnswlib is not installed."""

    reason: str
    vector: bytes


class Done(Message, frozen=True):
    pass


class Refused(Message, frozen=True):
    code: str
    detail: str


class IndexReport(msgspec.Struct, frozen=True):
    tenant: UUID
    state: str
    count: int
    stored: int
    bytes: int
    detail: str


class Report(Message, frozen=True):
    backend: str
    model_id: str
    pid: int
    uptime_s: float
    detail: str
    indexes: list[IndexReport]


Request = Search | Embed | Refresh | Rebuild | Drop | Status
Reply = Hits | NoIndex | Done | Refused | Report

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)


class Disconnected(OSError):
    """The other side closed the connection, or sent what is no message."""


def send(connection: socket.socket, message: Request | Reply) -> None:
    body = _encoder.encode(message)
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive_request(connection: socket.socket) -> Request:
    """Raises Disconnected."""
    request: Request = _decode(connection, _requests)
    return request


def receive_reply(connection: socket.socket) -> Reply:
    """Raises Disconnected."""
    reply: Reply = _decode(connection, _replies)
    return reply


def _decode(connection: socket.socket, decoder: "msgspec.msgpack.Decoder[T]") -> T:
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > MAX_FRAME_BYTES:
        raise Disconnected(f"a message of {length} bytes")
    try:
        return decoder.decode(_exactly(connection, length))
    except msgspec.DecodeError as error:
        raise Disconnected(f"not a message: {error}") from error


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise Disconnected("closed")
        parts += part
    return bytes(parts)


def pack_vector(vector: Vectors) -> bytes:
    return np.ascontiguousarray(vector, np.float32).tobytes()


def unpack_vector(data: bytes) -> Vectors:
    return np.frombuffer(data, np.float32)
