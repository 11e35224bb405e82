"""Messages of ROS 2 carry what the node said, byte by byte as ROS would send them; the example runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rosbags")

from gasp.errors import InputError
from gasp.node.client import NodeFace, NodeResult
from gasp.node.ros import RosTypes, faces_message, focus_message, map_message, read_header, read_image
from helpers.ros import octets, store_with_vision

STORE = store_with_vision()
TYPES = RosTypes(STORE.types.__getitem__, octets)
EXAMPLE = Path(__file__).parents[2] / "examples" / "ros2_node.py"


def a_result(**changes) -> NodeResult:
    face = NodeFace(7, (10.0, 20.0, 40.0, 60.0), 0.9, 0.25, {"glance": 1.5}, {"speaking": 0.5})
    values = {
        "sequence": 3, "stamp_ns": 1_700_000_000_123_456_789, "frame_id": "head_camera", "time": 1.0,
        "size": (320, 180), "map": np.random.default_rng(0).random((9, 16), np.float32), "focus": (100.5, 50.25),
        "focus_unit": (0.3, 0.3), "focus_centred": (-0.4, 0.4), "focus_value": 1.0, "entropy": 5.0,
        "why": {"glance": 0.3}, "gates": None, "faces": [face], "cut": False, "failed": False, "diagnostics": {},
        "arrays": {},
    }  # fmt: skip
    return NodeResult(**{**values, **changes})


def through_ros(message, name: str):
    """Serialized as ROS sends it, and back."""
    return STORE.deserialize_cdr(STORE.serialize_cdr(message, name), name)


def check_header(header) -> None:
    assert (header.stamp.sec, header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert header.frame_id == "head_camera"


def test_maps():
    result = a_result()
    got = through_ros(map_message(result, TYPES), "sensor_msgs/msg/Image")
    check_header(got.header)
    assert (got.encoding, got.height, got.width, got.step, got.is_bigendian) == ("32FC1", 9, 16, 64, 0)
    np.testing.assert_array_equal(got.data.view("<f4").reshape(9, 16), result.map)
    with pytest.raises(InputError, match="has no map"):
        map_message(a_result(map=None), TYPES)


def test_focus():
    got = through_ros(focus_message(a_result(), TYPES), "geometry_msgs/msg/PointStamped")
    check_header(got.header)
    assert (got.point.x, got.point.y, got.point.z) == (100.5, 50.25, 0)


def test_faces():
    got = through_ros(faces_message(a_result(), TYPES), "vision_msgs/msg/Detection2DArray")
    check_header(got.header)
    [face] = got.detections
    check_header(face.header)
    assert face.id == "7"
    assert [(h.hypothesis.class_id, h.hypothesis.score) for h in face.results] == [
        ("face", 0.9),
        ("attention", 0.25),
    ]
    centre = face.bbox.center.position
    assert (centre.x, centre.y, face.bbox.size_x, face.bbox.size_y) == (25, 40, 30, 40)
    nobody = through_ros(faces_message(a_result(faces=[]), TYPES), "vision_msgs/msg/Detection2DArray")
    assert list(nobody.detections) == []


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_pictures_are_read(encoding, padding):
    picture = np.random.default_rng(1).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    stored = {
        "rgb8": picture,
        "bgr8": picture[:, :, ::-1],
        "rgba8": np.dstack([picture, picture[:, :, 0]]),
        "bgra8": np.dstack([picture[:, :, ::-1], picture[:, :, 0]]),
        "mono8": picture[:, :, :1],
    }[encoding]
    rows = np.pad(stored.reshape(4, -1), ((0, 0), (0, padding)), constant_values=99)
    message = through_ros(an_image(encoding, 4, 6, rows), "sensor_msgs/msg/Image")
    wanted = np.repeat(picture[:, :, :1], 3, axis=2) if encoding == "mono8" else picture
    np.testing.assert_array_equal(read_image(message), wanted)
    assert read_header(message.header) == {"stamp_ns": 5_000_000_006, "frame_id": "cam"}


def an_image(encoding: str, height: int, width: int, rows: np.ndarray):
    stamp = TYPES.make("builtin_interfaces/msg/Time", sec=5, nanosec=6)
    return TYPES.make(
        "sensor_msgs/msg/Image",
        header=TYPES.make("std_msgs/msg/Header", stamp=stamp, frame_id="cam"),
        height=height, width=width, encoding=encoding, is_bigendian=0, step=rows.shape[1],
        data=np.ascontiguousarray(rows).ravel(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "height", "width", "step"),
    [("16UC1", 2, 2, 4), ("rgb8", 2, 2, 5), ("rgb8", 9, 2, 6), ("rgb8", 0, 2, 6)],
)
def test_pictures_that_are_none(encoding, height, width, step):
    message = SimpleNamespace(encoding=encoding, height=height, width=width, step=step, data=bytes(12))
    with pytest.raises(InputError):
        read_image(message)


class FakeNode:
    """As much of rclpy.node.Node as the example uses."""

    def __init__(self, name: str) -> None:
        self.published: dict = {}
        self.heard: list = []
        self.warnings: list[str] = []
        self.name = name

    def get_name(self) -> str:
        return self.name

    def declare_parameter(self, _name: str, value: object):
        return SimpleNamespace(value=value)

    def create_publisher(self, _kind: type, topic: str, _depth: int):
        return SimpleNamespace(publish=self.published.setdefault(topic, []).append)

    def create_subscription(self, _kind: type, _topic: str, callback, _profile: object) -> None:
        self.heard.append(callback)

    def get_logger(self):
        return SimpleNamespace(warning=self.warnings.append)

    def destroy_node(self) -> None:
        pass


@pytest.fixture
def example(monkeypatch) -> ModuleType:
    """The example, imported with message classes of rosbags in the place of ROS."""

    def fake(name: str, **contents) -> None:
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)

    fake("rclpy")
    fake("rclpy.node", Node=FakeNode)
    fake("rclpy.qos", qos_profile_sensor_data=None)
    packages: dict = {}
    for name, cls in STORE.types.items():
        package, _, message = name.split("/")
        packages.setdefault(package, {})[message] = cls
    for package, classes in packages.items():
        fake(package)
        fake(f"{package}.msg", **classes)
    spec = importlib.util.spec_from_file_location("ros2_node", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_publishes_what_the_node_says(example, monkeypatch):
    asked: list = []

    class FakeClient:
        def __init__(self, address: str, **_options) -> None:
            self.address = address
            self.closed = False

        def step(self, image, **tag):
            asked.append((image.shape, tag))
            if len(asked) == 2:
                raise InputError("gone")
            return None if len(asked) == 3 else a_result(**tag)

        def close(self) -> None:
            self.closed = True

    monkeypatch.setattr(example.gasp, "NodeClient", FakeClient, raising=False)
    node = example.Attention()
    node.types = RosTypes(node.types.find, octets)
    [look] = node.heard
    for _ in range(3):
        look(an_image("bgr8", 4, 6, np.zeros((4, 18), np.uint8)))
    assert asked[0] == ((4, 6, 3), {"stamp_ns": 5_000_000_006, "frame_id": "cam"})
    assert {topic: len(messages) for topic, messages in node.published.items()} == {
        "~/map": 1, "~/focus": 1, "~/faces": 1
    }  # fmt: skip
    assert all(m.header.frame_id == "cam" for messages in node.published.values() for m in messages)
    assert node.warnings == ["gone"]
    node.destroy_node()
    assert node.client.closed
