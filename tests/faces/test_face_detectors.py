"""The detectors: sizes, decoding, missing and unusable weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gasp.demo import clip_path
from gasp.errors import InputError, UsageError, WeightsError
from gasp.faces.detector import create_detector
from gasp.faces.face import Box, Detection
from gasp.faces.geometry import iou
from gasp.faces.glance_reader import (
    HEAD_TO_FACE,
    WORKING_PIXELS,
    GlanceFaceDetector,
    GlanceReader,
    StillReader,
    decode_faces,
    exposure_gain,
    folded,
    shrink,
    with_close_ups,
    working_size,
)
from gasp.faces.s3fd import S3FDFaceDetector, decode_candidates, suppress
from gasp.faces.yunet import YuNetFaceDetector
from gasp.networks.glance import STRIDE, Glance
from gasp.networks.s3fd import MEAN_BGR, S3FD, STRIDES, S3FDOutput, decode_boxes
from gasp.video import open_source
from gasp.weights import load_checkpoint
from helpers.synthetic import image as picture

ODD_SIZES = [(1, 1), (2, 3), (40, 2000), (2000, 40), (33, 31), (300, 200)]


def near(box: Box, expected: Box) -> bool:
    return bool(np.allclose(box, expected, atol=1e-3))


def test_unknown_detectors_are_refused() -> None:
    with pytest.raises(UsageError, match="glance, s3fd, yunet"):
        create_detector("mtcnn")


@pytest.mark.parametrize("name", ["yunet", "s3fd"])
def test_missing_weights_name_the_command(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GASP_CWD", str(tmp_path))
    with pytest.raises(WeightsError, match=f"gasp download {name}"):
        create_detector(name)
    with pytest.raises(WeightsError, match=r"nothing\.bin: no such file"):
        create_detector(name, file=tmp_path / "nothing.bin")


# --- Glance ----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_working_size(height: int, width: int) -> None:
    h, w = working_size(height, width)
    assert h % 16 == w % 16 == 0
    assert min(h, w) >= 32
    assert 0.8 * WORKING_PIXELS < h * w < 1.25 * WORKING_PIXELS
    aspect = min(3.0, max(1 / 3, width / height))
    assert w / h == pytest.approx(aspect, rel=0.12)
    assert working_size(width, height) == (w, h)


def test_a_picture_of_the_working_size_is_not_touched() -> None:
    image = picture("a", *working_size(480, 640))
    assert shrink(image) is image


def drawn(x: float, y: float, width: float, height: float, score: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of one head at (x, y) in pixels of the network's input (128 x 160)."""
    centres, boxes = torch.full((1, 1, 32, 40), -9.0), torch.zeros(1, 4, 32, 40)
    row, column = int(y // STRIDE), int(x // STRIDE)
    centres[0, 0, row, column] = torch.logit(torch.tensor(score))
    offset = [x / STRIDE - column - 0.5, y / STRIDE - row - 0.5]
    boxes[0, :, row, column] = torch.tensor([*offset, np.log(width / STRIDE), np.log(height / STRIDE)])
    return centres, boxes


def face_of_head(x: float, y: float, width: float, height: float) -> Box:
    share_x, share_y, lower = HEAD_TO_FACE
    w, h, y = width * share_x, height * share_y, y + lower * height
    return Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def test_a_drawn_face_comes_back_at_its_place() -> None:
    ((found,),) = decode_faces(*drawn(61.5, 42.0, 30, 40, 0.8), least_score=0.3)
    assert found.score == pytest.approx(0.8)
    assert near(found.box, face_of_head(61.5, 42.0, 30, 40))


def test_weak_overlapping_and_surplus_faces_are_dropped() -> None:
    first, second = drawn(60, 40, 30, 40, 0.8), drawn(72, 40, 30, 40, 0.7)
    far, weak = drawn(120, 100, 20, 20, 0.6), drawn(20, 100, 20, 20, 0.2)
    centres = torch.stack([c for c, _ in (first, second, far, weak)]).amax(0)
    boxes = torch.stack([b for _, b in (first, second, far, weak)]).sum(0)
    (found,) = decode_faces(centres, boxes, least_score=0.3)
    assert [round(d.score, 2) for d in found] == [0.8, 0.6]
    assert [len(faces) for faces in decode_faces(centres, boxes, least_score=0.3, most=1)] == [1]
    assert decode_faces(torch.full_like(centres, -9), boxes, least_score=0.3) == [[]]


class Drawn(Glance):
    """Answers with one drawn face, whatever the picture."""

    def forward(self, images: torch.Tensor, position: torch.Tensor | None = None) -> object:  # type: ignore[override]
        output = super().forward(images, position)
        centres, boxes = torch.full_like(output.face_centres, -9.0), torch.zeros_like(output.face_boxes)
        height, width = centres.shape[-2:]
        centres[:, 0, height // 2, width // 2] = 3.0
        boxes[:, 2], boxes[:, 3] = np.log(width / 4), np.log(height / 2)
        return output._replace(face_centres=centres, face_boxes=boxes)


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (120, 90)])
def test_faces_are_in_source_pixels(size: tuple[int, int]) -> None:
    height, width = size
    detector = GlanceFaceDetector(reader=GlanceReader(Drawn()))
    ((found,),) = detector.detect([picture("a", height, width)])
    assert found.box.width == pytest.approx(width / 4 * HEAD_TO_FACE[0], rel=1e-3)
    assert found.box.height == pytest.approx(height / 2 * HEAD_TO_FACE[1], rel=1e-3)
    assert found.box.centre[0] == pytest.approx(width / 2, rel=0.05)


@pytest.fixture(scope="module")
def reader() -> GlanceReader:
    torch.manual_seed(1)
    network = Glance((8, 8, 8, 8, 8), (1, 1, 1, 1), 8, 8)
    network.face_head[1].bias.data[0] = 0.0  # some faces, please
    return GlanceReader(network)


def test_batches_of_mixed_sizes_equal_singles(reader: GlanceReader) -> None:
    sizes = [(240, 320), (480, 640), (300, 100), (240, 320), *ODD_SIZES]
    images = [picture(str(i), *size) for i, size in enumerate(sizes)]
    together = reader.read(images)
    assert len(together) == len(images)
    for image, glimpse in zip(images, together, strict=True):
        (alone,) = reader.read([image])
        assert np.array_equal(glimpse.small, alone.small)
        np.testing.assert_allclose(glimpse.saliency, alone.saliency, atol=1e-4)
        # This network is equally sure of everything: where scores are equal to a few digits, another face may win.
        again = [max((iou(a.box, b.box) for b in alone.faces), default=0) > 0.99 for a in glimpse.faces]
        assert sum(again) >= 0.9 * max(len(glimpse.faces), len(alone.faces))


def test_glimpses_are_sound(reader: GlanceReader) -> None:
    found = 0
    for size in ODD_SIZES:
        (glimpse,) = reader.read([picture("a", *size)])
        height, width = glimpse.small.shape[:2]
        assert glimpse.saliency.shape == (height // 4, width // 4)
        assert np.exp(glimpse.saliency).sum() == pytest.approx(1, abs=1e-3)
        for face in glimpse.faces:
            assert 0 <= face.box.x1 < face.box.x2 <= size[1]
            assert 0 <= face.box.y1 < face.box.y2 <= size[0]
        found += len(glimpse.faces)
    assert found
    assert reader.read([]) == []


@pytest.mark.parametrize("darker", [4, 8, 16])
def test_people_in_the_dark_are_found_where_they_are(darker: int) -> None:
    with open_source(clip_path()) as source:
        frame = next(iter(source)).image
    detector = GlanceFaceDetector()
    bright, dark = detector.detect([frame, frame // darker])
    assert bright
    assert len(dark) == len(bright)
    for face in bright:
        assert max(iou(face.box, other.box) for other in dark) > 0.6


def test_only_dark_pictures_are_brightened() -> None:
    assert [exposure_gain(np.full((4, 4, 3), grey, np.uint8)) for grey in (255, 60, 30, 6, 1, 0)] == [
        *(1, 1, 2, 10, 16, 16)
    ]


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(2)
    network = Glance((8, 8, 8, 8, 8), (1, 1, 1, 1), 8, 8)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    quick = folded(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in quick.modules())
    images = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        for plain, fast in zip(network.eval()(images), quick(images), strict=True):
            torch.testing.assert_close(plain, fast, atol=1e-4, rtol=1e-4)


def test_a_close_up_replaces_its_parts() -> None:
    halves = [Detection(Box(0.30, 0.3, 0.48, 0.6), 0.65), Detection(Box(0.52, 0.3, 0.70, 0.6), 0.6)]
    aside = Detection(Box(0.8, 0.1, 0.95, 0.3), 0.9)
    close_up = Detection(Box(0.25, 0.15, 0.75, 0.9), 0.7)
    assert with_close_ups([aside, *halves], [close_up]) == [aside, close_up]


def test_a_close_up_found_a_little_aside_replaces_both_halves() -> None:
    halves = [Detection(Box(0.30, 0.3, 0.48, 0.6), 0.65), Detection(Box(0.52, 0.3, 0.70, 0.6), 0.6)]
    aside = Detection(Box(0.28, 0.15, 0.58, 0.8), 0.55)
    assert with_close_ups(halves, [aside]) == [aside]
    lopsided = [Detection(Box(0.36, 0.2, 0.75, 0.8), 0.65), Detection(Box(0.28, 0.3, 0.4, 0.5), 0.6)]
    whole = Detection(Box(0.25, 0.15, 0.75, 0.9), 0.7)
    assert with_close_ups(lopsided, [whole]) == [whole]


def test_a_close_up_is_taken_for_no_other_reason() -> None:
    close_up = Detection(Box(0.25, 0.15, 0.75, 0.9), 0.7)
    surer = Detection(Box(0.30, 0.3, 0.48, 0.6), 0.95)
    same = Detection(Box(0.27, 0.2, 0.75, 0.9), 0.6)
    assert with_close_ups([surer], [close_up]) == [surer]
    assert with_close_ups([same], [close_up]) == [same]
    assert with_close_ups([], [Detection(close_up.box, 0.4)]) == []
    assert with_close_ups([], [Detection(Box(0.4, 0.4, 0.6, 0.6), 0.9)]) == []
    assert with_close_ups([], [close_up]) == [close_up]


def test_threshold(reader: GlanceReader) -> None:
    images = [picture("a", 240, 320)]
    (few,), (many,) = (GlanceFaceDetector(t, reader=reader).detect(images) for t in (0.52, 0.2))
    assert all(face.score >= 0.52 for face in few)
    assert len(many) > len(few)


# --- S3FD ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3fd() -> S3FD:
    torch.manual_seed(3)
    return S3FD().eval()


def test_s3fd_has_the_published_names(s3fd: S3FD) -> None:
    shapes = {name: tuple(value.shape) for name, value in s3fd.state_dict().items()}
    trunk = [f"conv{g}_{i}" for g, n in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, n + 1)]
    others = ["fc6", "fc7", "conv6_1", "conv6_2", "conv7_1", "conv7_2"]
    norms = ["conv3_3_norm", "conv4_3_norm", "conv5_3_norm"]
    heads = [f"{b}_mbox_{k}" for b in (*norms, "fc7", "conv6_2", "conv7_2") for k in ("conf", "loc")]
    with_bias = [f"{name}.{part}" for name in trunk + others + heads for part in ("weight", "bias")]
    assert set(shapes) == {*with_bias, *(f"{name}.weight" for name in norms)}
    assert shapes["fc6.weight"] == (1024, 512, 3, 3)
    assert shapes["conv5_3_norm.weight"] == (512,)
    assert shapes["conv3_3_norm_mbox_conf.weight"] == (4, 256, 3, 3)
    assert shapes["fc7_mbox_loc.weight"] == (4, 1024, 3, 3)


def test_s3fd_loads_a_published_file_strictly(tmp_path: Path) -> None:
    zero = torch.zeros(1)  # one number in the file, whatever the shape
    state = {name: zero.expand(value.shape) for name, value in S3FD().state_dict().items()}
    state["fc7.bias"] = torch.arange(1024.0)
    torch.save(state, tmp_path / "s3fd-619a316812.pth")
    network = S3FDFaceDetector(tmp_path / "s3fd-619a316812.pth").network
    assert network.fc7.bias[1023] == 1023
    del state["conv7_2_mbox_loc.bias"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(WeightsError, match=r"missing: conv7_2_mbox_loc\.bias"):
        load_checkpoint(network, tmp_path / "short.pth")


@torch.inference_mode()
def test_s3fd_grids_and_the_strongest_background(s3fd: S3FD) -> None:
    output = s3fd(torch.randn(2, 3, 96, 128))
    grids = [(24, 32), (12, 16), (6, 8), (7, 8), (4, 4), (2, 2)]
    assert [tuple(s.shape) for s in output.scores] == [(2, 2, *grid) for grid in grids]
    assert [tuple(b.shape) for b in output.boxes] == [(2, 4, *grid) for grid in grids]
    images = torch.randn(1, 3, 64, 64)
    raw = s3fd.get_submodule("conv3_3_norm_mbox_conf")(s3fd.features(images)["conv3_3_norm"])
    scores = s3fd(images).scores[0]
    torch.testing.assert_close(scores[:, 0], raw[:, :3].amax(1))
    torch.testing.assert_close(scores[:, 1], raw[:, 3])


@torch.inference_mode()
def test_s3fd_normalises_vectors(s3fd: S3FD) -> None:
    features = s3fd.features(torch.rand(1, 3, 64, 64) * 255)
    for name, scale in (("conv3_3_norm", 10.0), ("conv4_3_norm", 8.0), ("conv5_3_norm", 5.0)):
        torch.testing.assert_close(features[name].norm(dim=1), torch.full_like(features[name][:, 0], scale))


@pytest.mark.parametrize("shape", [(1, 3, 31, 64), (3, 64, 64), (1, 1, 64, 64)])
def test_s3fd_refuses_wrong_shapes(s3fd: S3FD, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="at least 32"):
        s3fd(torch.zeros(shape))


def test_known_anchors_are_decoded() -> None:
    boxes = torch.zeros(1, 4, 3, 5)
    boxes[0, :, 1, 2] = torch.tensor([1.0, -2.0, 5 * np.log(2), 0.0])
    corners = decode_boxes(boxes, stride=8)
    # Anchors are squares of 32 pixels around (4 + 8 j, 4 + 8 i).
    assert corners[0, :, 0, 0].tolist() == [-12, -12, 20, 20]
    assert corners[0, :, 2, 4].tolist() == [20, 4, 52, 36]
    # Centre (20, 12) moved by a tenth of a side times (1, -2); twice as wide.
    torch.testing.assert_close(corners[0, :, 1, 2], torch.tensor([-8.8, -10.4, 55.2, 21.6]))


def with_faces(*cells: tuple[int, int, int, float]) -> S3FDOutput:
    """OutputSettings for a picture of 128 x 128 with faces of (branch, row, column, score), else background."""
    scores, boxes = [], []
    for stride in STRIDES:
        side = 128 // stride
        scores.append(torch.tensor([9.0, -9.0])[None, :, None, None].repeat(1, 1, side, side))
        boxes.append(torch.zeros(1, 4, side, side))
    for branch, row, column, score in cells:
        scores[branch][0, :, row, column] = torch.tensor([0.0, float(np.log(score / (1 - score)))])
    return S3FDOutput(tuple(scores), tuple(boxes))


def test_candidates_of_all_branches() -> None:
    corners, scores = decode_candidates(with_faces((0, 2, 3, 0.9), (3, 1, 1, 0.4), (5, 0, 0, 0.04)))
    np.testing.assert_allclose(scores, [0.9, 0.4], atol=1e-6)
    np.testing.assert_allclose(corners, [[6, 2, 22, 18], [-16, -16, 112, 112]])
    corners, scores = decode_candidates(with_faces())
    assert corners.shape == (0, 4)
    assert suppress(corners, scores) == []


def test_suppression_counts_a_pixel_more_on_each_side() -> None:
    # 10 pixels wide each, sharing 5: IoU 1/3 when pixels are inclusive, less (0.286) when they are not.
    corners = np.array([[0, 0, 9, 9], [5, 0, 14, 9], [30, 30, 39, 39.0]])
    assert suppress(corners, np.array([0.6, 0.9, 0.7])) == [1, 2]
    corners[1] += (1, 0, 1, 0)
    assert suppress(corners, np.array([0.6, 0.9, 0.7])) == [1, 2, 0]


class Recorded(S3FD):
    """Answers with one face, and keeps what it was shown."""

    def forward(self, images: torch.Tensor) -> S3FDOutput:
        self.shown = images
        return with_faces((2, 3, 2, 0.9), (2, 3, 3, 0.8), (1, 12, 12, 0.3))


def test_s3fd_sees_bgr_minus_mean_and_answers_in_source_pixels() -> None:
    red = np.zeros((128, 128, 3), np.uint8)
    red[..., 0] = 200
    network = Recorded()
    ((found,),) = S3FDFaceDetector(network=network).detect([red])
    assert network.shown[0, :, 5, 7].tolist() == [0 - MEAN_BGR[0], 0 - MEAN_BGR[1], 200 - MEAN_BGR[2]]
    assert found.score == pytest.approx(0.9)
    assert near(found.box, Box(8, 24, 72, 88))
    ((found,),) = S3FDFaceDetector(network=network, longest_side=128).detect([red.repeat(2, 0).repeat(3, 1)])
    assert network.shown.shape == (1, 3, 85, 128)
    assert near(found.box, Box(24, 24 * 256 / 85, 216, 256))
    ((found,),) = S3FDFaceDetector(network=network, published=True).detect([red])
    assert network.shown[0, :, 5, 7].tolist() == [0, 0, 200]
    assert found.box == Box(8, 24, 72, 88)


def test_s3fd_takes_any_size(s3fd: S3FD) -> None:
    detector = S3FDFaceDetector(network=s3fd, longest_side=200, threshold=0.05)
    images = [picture("a", *size) for size in ODD_SIZES[:5]]
    for image, faces in zip(images, detector.detect(images), strict=True):
        for face in faces:
            assert 0 <= face.box.x1 < face.box.x2 <= image.shape[1]
            assert 0 <= face.box.y1 < face.box.y2 <= image.shape[0]


# --- YuNet -----------------------------------------------------------------------------------------------


def test_an_unusable_file_is_explained(tmp_path: Path) -> None:
    file = tmp_path / "yunet.onnx"
    file.write_bytes(b"<html>not found</html>")
    with pytest.raises(WeightsError, match=r"yunet\.onnx: is damaged.*gasp download yunet"):
        YuNetFaceDetector(file)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with YuNet's inputs and outputs that finds one face: cell (10, 20) of stride 16."""
    onnx = pytest.importorskip("onnx")
    make, numpy = onnx.helper, onnx.numpy_helper
    values: dict[str, NDArray[np.float32]] = {}
    for stride in (8, 16, 32):
        cells = (640 // stride) ** 2
        for kind, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            values[f"{kind}_{stride}"] = np.zeros((1, cells, channels), np.float32)
    cell = 10 * 40 + 20
    values["cls_16"][0, cell] = values["obj_16"][0, cell] = 0.9
    values["bbox_16"][0, cell] = (0.5, 0.5, np.log(4), np.log(5))
    order = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    # Every output depends on the input (times zero), so that no engine takes it for a constant.
    nodes = [
        make.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        make.make_node("Mul", ["mean", "zero"], ["nothing"]),
        *(make.make_node("Add", [f"value_{name}", "nothing"], [name]) for name in order),
    ]
    graph = make.make_graph(
        nodes,
        "stand-in",
        [make.make_tensor_value_info("input", 1, [1, 3, 640, 640])],
        [make.make_tensor_value_info(name, 1, list(values[name].shape)) for name in order],
        [numpy.from_array(np.zeros((), np.float32), "zero")]
        + [numpy.from_array(values[name], f"value_{name}") for name in order],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8)
    file = tmp_path_factory.mktemp("yunet") / "stand_in.onnx"
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("size", [(640, 640), (480, 640), (1280, 1280), (720, 1280), (320, 320)])
def test_yunet_answers_in_source_pixels(stand_in: Path, size: tuple[int, int]) -> None:
    height, width = size
    ((found,),) = YuNetFaceDetector(stand_in).detect([picture("a", height, width)])
    scale = max(size) / 640
    # Centre (20.5, 10.5) cells of 16 pixels, 4 x 5 cells large.
    centre_x, centre_y, w, h = (v * 16 * scale for v in (20.5, 10.5, 4, 5))
    expected = Box(centre_x - w / 2, centre_y - h / 2, centre_x + w / 2, centre_y + h / 2)
    assert iou(found.box, expected) > 0.99
    assert found.score == pytest.approx(0.9, abs=1e-3)


def test_yunet_takes_any_size(stand_in: Path) -> None:
    detector = YuNetFaceDetector(stand_in)
    for size in ODD_SIZES:
        (faces,) = detector.detect([picture("a", *size)])
        assert all(face.box.x2 <= size[1] and face.box.y2 <= size[0] for face in faces)


def test_a_network_of_another_kind_is_explained(stand_in: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(stand_in)
    del model.graph.output[3:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(WeightsError):
        YuNetFaceDetector(tmp_path / "other.onnx").detect([picture("a", 64, 64)])


def test_a_still_picture_is_looked_at_several_times() -> None:
    torch.manual_seed(0)
    first, second = Glance((8, 8, 16, 16, 16), (1, 1, 1, 1)), Glance((8, 8, 16, 16, 16), (1, 1, 1, 1))
    image = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    once = GlanceReader(first.eval())
    [plain] = once.read([image])
    [alone] = StillReader(first, [], "cpu").read([image])
    [both] = StillReader(first, [second.eval()], "cpu").read([image])
    for glimpse in (alone, both):
        assert glimpse.saliency.shape == plain.saliency.shape
        assert np.exp(glimpse.saliency.astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)
        assert glimpse.faces == plain.faces
    assert np.abs(alone.saliency - plain.saliency).max() > 1e-3
    assert np.abs(both.saliency - alone.saliency).max() > 1e-3
    # What is symmetrical is looked at symmetrically.
    mirrored = np.concatenate([image, image[:, ::-1]], 1)
    [glimpse] = StillReader(first, [], "cpu").read([mirrored])
    small = StillReader(first, [], "cpu").log_saliency(glimpse.small)
    asymmetry = np.abs(small - small[:, ::-1]).mean()
    assert np.abs(glimpse.saliency - glimpse.saliency[:, ::-1]).mean() < asymmetry
