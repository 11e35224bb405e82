"""Results and frames over Wrapyfi, the middleware of middlewares that robots of the 2021 publications speak.

Wrapyfi sends native objects: plain data and NumPy arrays. Ours are one dictionary per message of the node's protocol,

    {"protocol": "gasp", "version": 1, "kind": "frame", "body": {...},
     "arrays": {"image": {"encoding": "jpeg", "data": <uint8 (n,), the file>},
                "sound": {"encoding": "raw", "data": <float32 (n,)>}}}

so that a listener without this package reads results too. Pictures are compressed here and not by Wrapyfi, which has
nothing for them in a native object. Its brokers run in threads of this process and end with it, whatever ends it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError, OutputError, UsageError
from gasp.messages import VERSION, Encoded, Limits, Message, ProtocolError
from gasp.messages.pictures import decode_picture, encode_picture
from gasp.node.client import NodeClient
from gasp.node.protocol import Tag, error_reply

MIDDLEWARE = "zeromq"
"""Said outright wherever Wrapyfi would choose for itself."""
FRAMES, RESULTS = "/gasp/frames", "/gasp/results"
PUB_PORT, SUB_PORT = 5555, 5556
"""Of Wrapyfi's broker: the first is listened to, the second published to."""

_PAUSE = 0.002
_BROKER_SECONDS = 5.0


def to_native(message: Message) -> dict[str, Any]:
    """The message as plain data and NumPy arrays."""
    return {
        "protocol": "gasp",
        "version": VERSION,
        "kind": message.kind,
        "body": dict(message.body),
        "arrays": {name: _native_array(array) for name, array in message.arrays.items()},
    }


def from_native(native: object, limits: Limits | None = None) -> Message:
    """The message of a native object. Raises :class:`ProtocolError` for what is none."""
    limits = limits or Limits()
    if not isinstance(native, Mapping) or native.get("protocol") != "gasp":
        raise ProtocolError('The object is no map with "protocol": "gasp".')
    if native.get("version") != VERSION:
        raise ProtocolError(f"Version {native.get('version')!r} of the protocol; this is version {VERSION}.")
    kind, body, arrays = native.get("kind"), native.get("body", {}), native.get("arrays", {})
    if not isinstance(kind, str) or not isinstance(body, Mapping) or not isinstance(arrays, Mapping):
        raise ProtocolError("kind must be a text, body and arrays maps.")
    return Message(kind, dict(body), {str(name): _plain_array(name, a, limits) for name, a in arrays.items()})


def frame_message(image: NDArray[np.uint8], *, quality: int | None = 90, **tag: Any) -> Message:
    """A frame to be published.

    Args:
        image: uint8 RGB (h, w, 3).
        quality: of JPEG; None: as it is.
        tag: ``sequence``, ``stamp_ns``, ``time``, ``frame_id``, which come back with the result.
    """
    return Message("frame", tag, {"image": image if quality is None else Encoded(image, "jpeg", quality)})


class NativePublisher:
    """Publishes messages on a topic; a context manager. Nobody needs to listen.

    Args:
        topic: that others listen to.
        middleware: of Wrapyfi.
        host: where the broker runs, or is to run.
        pub_port: of the broker, for listeners.
        sub_port: of the broker, for publishers.

    Raises:
        UsageError: Wrapyfi or the middleware is missing.
        OutputError: There is no broker, and none can be started.
    """

    def __init__(
        self,
        topic: str = RESULTS,
        *,
        middleware: str = MIDDLEWARE,
        host: str = "127.0.0.1",
        pub_port: int = PUB_PORT,
        sub_port: int = SUB_PORT,
    ) -> None:
        options: dict[str, Any] = {}
        own = middleware == MIDDLEWARE and not _is_served(host, sub_port)
        if middleware == MIDDLEWARE:
            options = {
                "socket_ip": host,
                "socket_pub_port": pub_port,
                "socket_sub_port": sub_port,
                "start_proxy_broker": own,
                "proxy_broker_spawn": "thread",
                "start_pubsub_monitor_broker": False,
            }
        self._endpoint = _endpoint("publishers", topic, middleware, options)
        if own:
            _await_broker(host, sub_port)

    def publish(self, message: Message) -> None:
        """Send a message to whoever listens."""
        self._endpoint.publish(to_native(message))

    def close(self) -> None:
        """Leave the topic."""
        self._endpoint.close()

    def __enter__(self) -> NativePublisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NativeListener:
    """Listens to messages on a topic; a context manager. The arguments are those of :class:`NativePublisher`."""

    def __init__(
        self,
        topic: str = FRAMES,
        *,
        middleware: str = MIDDLEWARE,
        host: str = "127.0.0.1",
        pub_port: int = PUB_PORT,
    ) -> None:
        options: dict[str, Any] = {}
        if middleware == MIDDLEWARE:
            options = {
                "socket_ip": host,
                "socket_pub_port": pub_port,
                "start_pubsub_monitor_broker": False,
            }
        self._endpoint = _endpoint("listeners", topic, middleware, options)

    def receive(self, timeout: float = 1.0) -> Message | None:
        """The next message, None where none came within so many seconds. Raises :class:`ProtocolError`."""
        deadline = time.monotonic() + timeout
        while True:
            native = self._endpoint.listen()
            if native is not None:
                return from_native(native)
            if time.monotonic() >= deadline:
                return None
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Leave the topic."""
        self._endpoint.close()

    def __enter__(self) -> NativeListener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def relay(
    client: NodeClient, frames: NativeListener, results: NativePublisher, ended: threading.Event
) -> None:
    """Give frames that are published to a node, and publish its results, until ``ended`` is set.

    What goes wrong is published too, as messages of the kind "error".
    """
    while not ended.is_set():
        message = None
        try:
            message = frames.receive(timeout=0.2)
            if message is None:
                continue
            result = client.step(message.array("image"), **_arguments(message))
        except InputError as error:
            results.publish(error_reply(error, _sequence(message)))
            continue
        if result is not None and result.message is not None:
            results.publish(result.message)


def _arguments(message: Message) -> dict[str, Any]:
    """What a published frame is sent to the node with."""
    tag = Tag.read(message.body)
    arguments = {field.name: getattr(tag, field.name) for field in fields(tag)}
    if "sound" in message.arrays:
        arguments["sound"] = message.array("sound")
    return arguments


def _sequence(message: Message | None) -> int | None:
    sequence = None if message is None else message.body.get("sequence")
    return sequence if isinstance(sequence, int) else None


def _endpoint(table: str, topic: str, middleware: str, options: dict[str, Any]) -> Any:
    """Wrapyfi's own publisher or listener of native objects, ready at once."""
    try:
        from wrapyfi.connect.listeners import Listeners
        from wrapyfi.connect.publishers import Publishers
    except ImportError as error:
        raise UsageError("Wrapyfi is not installed: pip install 'gasp-saliency[wrapyfi]'") from error
    kinds = {"publishers": Publishers, "listeners": Listeners}[table]
    kinds.scan()
    found = kinds.registry.get(f"NativeObject:{middleware}")
    if found is None:
        raise UsageError(f"Wrapyfi has no middleware {middleware!r} here; zeromq is always there.")
    endpoint = found("gasp", topic, carrier="tcp", should_wait=False, **options)
    endpoint.establish()
    return endpoint


def _await_broker(host: str, port: int) -> None:
    """What is published before the broker is there goes nowhere."""
    deadline = time.monotonic() + _BROKER_SECONDS
    while not _is_served(host, port):
        if time.monotonic() >= deadline:
            raise OutputError(
                f"No broker of Wrapyfi can be started at {host}:{port}; is {host} this machine?"
            )
        time.sleep(0.01)


def _is_served(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _native_array(array: NDArray[Any] | Encoded) -> dict[str, Any]:
    if isinstance(array, Encoded):
        file = encode_picture(array.picture, array.encoding, array.quality)
        return {"encoding": array.encoding, "data": np.frombuffer(file, np.uint8)}
    return {"encoding": "raw", "data": np.asarray(array)}


def _plain_array(name: object, entry: object, limits: Limits) -> NDArray[Any]:
    data = entry.get("data") if isinstance(entry, Mapping) else None
    encoding = entry.get("encoding") if isinstance(entry, Mapping) else None
    if not isinstance(data, np.ndarray) or encoding not in ("raw", "jpeg", "png"):
        raise ProtocolError(f"Array {name!r} needs data and an encoding, raw, jpeg or png.")
    if encoding == "raw":
        return data
    try:
        return decode_picture(data.astype(np.uint8).tobytes(), limits.pixels)
    except ValueError as error:
        raise ProtocolError(f"Array {name!r}: {error}.") from error
