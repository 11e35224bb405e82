"""Results as messages of ROS 2, and its pictures as arrays. ROS itself is not imported: its classes are handed in."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gasp.errors import InputError
from gasp.node.client import NodeFace, NodeResult

_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


@dataclass(frozen=True, slots=True)
class RosTypes:
    """Where message classes come from, and how bytes are written down.

    ``find``: the class of a name such as "sensor_msgs/msg/Image"; classes take their fields as keywords. ``octets``:
    makes the value of a field of the type uint8[]: rclpy wants an ``array.array``, other packages a NumPy array.
    """

    find: Callable[[str], Any]
    octets: Callable[[bytes], Any] = lambda data: array("B", data)

    def make(self, name: str, **fields: Any) -> Any:
        """A message."""
        return self.find(name)(**fields)


def rclpy_types() -> RosTypes:
    """The classes of the ROS 2 that is installed."""
    from importlib import import_module

    def find(name: str) -> Any:
        package, kind, message = name.split("/")
        return getattr(import_module(f"{package}.{kind}"), message)

    return RosTypes(find)


def read_image(message: Any) -> NDArray[np.uint8]:
    """The picture of a sensor_msgs/Image, uint8 RGB (h, w, 3).

    Rows may be padded. Raises :class:`InputError` for other encodings than rgb8, bgr8, rgba8, bgra8 and mono8.
    """
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        raise InputError(
            f"Images of the encoding {message.encoding!r} are not read: {', '.join(_CHANNELS)} are."
        )
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = np.frombuffer(memoryview(message.data), np.uint8)
    if not height or step < width * channels or data.size < height * step:
        raise InputError(
            f"An image of {width} x {height} {message.encoding} in rows of {step} bytes cannot have {data.size} bytes."
        )
    rows = data[: height * step].reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    order = [2, 1, 0] if message.encoding.startswith("bgr") else [0, 1, 2]
    return np.ascontiguousarray(pixels[:, :, order])


def read_header(header: Any) -> dict[str, Any]:
    """What a frame is sent to the node with, so that its result has the header of the picture."""
    stamp = int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)
    return {"stamp_ns": stamp, "frame_id": str(header.frame_id)}


def header_of(result: NodeResult, types: RosTypes) -> Any:
    """std_msgs/Header of the picture that the result is of."""
    seconds, nanoseconds = divmod(result.stamp_ns or 0, 10**9)
    stamp = types.make("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return types.make("std_msgs/msg/Header", stamp=stamp, frame_id=result.frame_id)


def map_message(result: NodeResult, types: RosTypes) -> Any:
    """sensor_msgs/Image, 32FC1: saliency in 0..1, at the network's size, over the whole picture."""
    if result.map is None:
        raise InputError('The result has no map: ask for one with arrays=("map",).')
    saliency = np.ascontiguousarray(result.map, "<f4")
    height, width = saliency.shape
    return types.make(
        "sensor_msgs/msg/Image",
        header=header_of(result, types),
        height=height,
        width=width,
        encoding="32FC1",
        is_bigendian=0,
        step=4 * width,
        data=types.octets(saliency.tobytes()),
    )


def focus_message(result: NodeResult, types: RosTypes) -> Any:
    """geometry_msgs/PointStamped: the focus in pixels of the picture, x to the right, y down; z is 0."""
    x, y = result.focus
    point = types.make("geometry_msgs/msg/Point", x=float(x), y=float(y), z=0.0)
    return types.make("geometry_msgs/msg/PointStamped", header=header_of(result, types), point=point)


def faces_message(result: NodeResult, types: RosTypes) -> Any:
    """vision_msgs/Detection2DArray: one detection per face, boxes in pixels, ``id`` stays with the person.

    The first hypothesis is "face" with the detector's score, the second "attention" with the share of the map's mass
    on the face.
    """
    header = header_of(result, types)
    detections = [_detection(face, header, types) for face in result.faces]
    return types.make("vision_msgs/msg/Detection2DArray", header=header, detections=detections)


def _detection(face: NodeFace, header: Any, types: RosTypes) -> Any:
    x1, y1, x2, y2 = face.box
    middle = types.make("vision_msgs/msg/Point2D", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
    return types.make(
        "vision_msgs/msg/Detection2D",
        header=header,
        results=[
            _hypothesis("face", face.score, types),
            _hypothesis("attention", face.attention, types),
        ],
        bbox=types.make(
            "vision_msgs/msg/BoundingBox2D",
            center=types.make("vision_msgs/msg/Pose2D", position=middle, theta=0.0),
            size_x=x2 - x1,
            size_y=y2 - y1,
        ),
        id=str(face.id),
    )


def _hypothesis(kind: str, score: float, types: RosTypes) -> Any:
    return types.make(
        "vision_msgs/msg/ObjectHypothesisWithPose",
        hypothesis=types.make("vision_msgs/msg/ObjectHypothesis", class_id=kind, score=float(score)),
        # Nothing is known of where the person is in space.
        pose=types.make(
            "geometry_msgs/msg/PoseWithCovariance",
            pose=types.make(
                "geometry_msgs/msg/Pose",
                position=types.make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
                orientation=types.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            ),
            covariance=np.zeros(36),
        ),
    )
