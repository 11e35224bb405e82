"""The gaze following cue: published windows and maps, parts against the whole, what is mended, hard input."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gasp.cues.face_windows import buffered_window
from gasp.cues.observation import Observation
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import resize
from gasp.cues.videogaze import VideoGazeCue, VideoGazeQuirks, draw_heatmaps
from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.networks import create_model
from gasp.networks.videogaze import VideoGaze
from helpers import synthetic
from helpers.faces_in_video import check_picture, moving, observation, results_of, run, video_of
from helpers.parity import Case, case_names

PUBLISHED = choose_quirks(VideoGazeQuirks, "published", {})
GRID = (16, 20)


@pytest.fixture(scope="module")
def network() -> VideoGaze:
    torch.manual_seed(5)
    made = create_model("videogaze")
    assert isinstance(made, VideoGaze)
    return made


class Quick(VideoGaze):
    """The network with thin stacks of convolutions: what it says is as good as any."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        for path, size in (
            (self.saliency_pathway, 13),
            (self.cone_pathway.alexnet, 6),
            (self.transformation_path.alexnet, 6),
        ):
            path.features = torch.nn.Sequential(
                torch.nn.AdaptiveAvgPool2d(size), torch.nn.Conv2d(3, 256, 1), torch.nn.ReLU()
            )
        torch.nn.init.constant_(self.transformation_path.final_linear.bias, 0.3)
        self.seen = {"frames": 0, "faces": 0}
        self.eval()

    def encode_frame(self, frames: torch.Tensor) -> Any:
        self.seen["frames"] += len(frames)
        return super().encode_frame(frames)

    def encode_head(self, faces: torch.Tensor) -> torch.Tensor:
        self.seen["faces"] += len(faces)
        return super().encode_head(faces)


@pytest.mark.parametrize("name", case_names("rendering", "videogaze_map_*"))
def test_published_map(name: str) -> None:
    case = Case("rendering", name)
    about = case.about["inputs"][1]
    heatmaps = synthetic.array(about["name"], tuple(about["shape"]), about["kind"], about["seed"])
    heatmaps = heatmaps * np.float32(case.options["scale"])
    drawn = draw_heatmaps(list(heatmaps), case.options["side"], GRID, PUBLISHED)
    check_picture(case, "map", drawn[..., ::-1])
    check_picture(case, "resized", resize(drawn, *case.options["size"])[..., ::-1])


@pytest.mark.parametrize("name", case_names("videogaze", "window_*"))
def test_published_window(name: str) -> None:
    case = Case("videogaze", name)
    case.about["checkpoint"] = [
        e for e in case.about["checkpoint"] if "classifier" not in e[0] and "last_convolution" not in e[0]
    ]
    made = case.load_into(create_model("videogaze"))
    assert isinstance(made, VideoGaze)
    cue = VideoGazeCue(made, bgr=case.options["mode"] == "published", softmax=True, filing="source")
    rows: list[torch.Tensor] = []
    look = made.look
    made.look = lambda *inputs: rows.append((out := look(*inputs)).in_frame) or out  # type: ignore[assignment, func-returns-value, method-assign]
    video = video_of(case)
    for seen in video[:3]:
        seen.faces.clear()
    result = cue.push(video)[3]

    tolerance = case.about["tolerance"]
    np.testing.assert_allclose(rows[-1].reshape(2, 7), case.expected["in_frame"], **tolerance)
    for row, face in enumerate(video[3].faces):
        best = case.expected["target"][row]
        found = result.found[face.track_id]
        assert found["gaze_in_frame"] == pytest.approx(case.expected["in_frame"][row, best], abs=1e-4)
        y, x = np.unravel_index(case.expected["heatmap"][row].argmax(), (20, 20))
        assert found["gaze_target_x"] == pytest.approx((x + 0.5) * 8)
        assert found["gaze_target_y"] == pytest.approx((y + 0.5) * 4.8)


@pytest.mark.parametrize("name", case_names("videogaze", "window_*"))
@torch.inference_mode()
def test_published_heatmaps(name: str) -> None:
    case = Case("videogaze", name)
    case.about["checkpoint"] = [
        e for e in case.about["checkpoint"] if "classifier" not in e[0] and "last_convolution" not in e[0]
    ]
    made = case.load_into(create_model("videogaze"))
    cue = VideoGazeCue(made, bgr=case.options["mode"] == "published")  # type: ignore[arg-type]
    video = video_of(case)
    for seen in video:
        cue._windows.add(seen)
    cue._encode_frames(list(range(7)))
    (followed,) = cue._follow([list(range(7))])
    assert [one.target for one in followed] == list(case.expected["target"])
    np.testing.assert_allclose(
        [one.heatmap for one in followed], case.expected["heatmap"], **case.about["tolerance"]
    )


@torch.inference_mode()
def test_the_cue_gives_what_the_plain_network_gives(network: VideoGaze) -> None:
    video = moving(7, people=2)
    cue = VideoGazeCue(network)
    for seen in video:
        cue._windows.add(seen)
    cue._encode_frames(list(range(7)))
    (followed,) = cue._follow([list(range(7))])

    def tensor(picture: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(cv2.resize(picture, (227, 227))).permute(2, 0, 1)[None].float() / 255

    targets = torch.cat([tensor(o.frame.image) for o in video])
    face = video[3].faces[1]
    box = [int(side) for side in face.box]
    crop = tensor(video[3].frame.image[box[1] : box[3], box[0] : box[2]])
    eyes = torch.tensor([[(box[0] + box[2]) / 2 / 96, (box[1] + box[3]) / 2 / 72]])
    plain = network(
        targets[3:4].expand(7, -1, -1, -1), targets, crop.expand(7, -1, -1, -1), eyes.expand(7, -1)
    )
    best = int(plain.in_frame.argmax())
    assert (followed[1].face, followed[1].target) == (face, best)
    assert followed[1].in_frame == pytest.approx(float(plain.in_frame[best]), abs=1e-5)
    np.testing.assert_allclose(followed[1].heatmap, plain.heatmap[best], atol=1e-5)


@torch.inference_mode()
def test_relate_and_look_are_follow(network: VideoGaze) -> None:
    torch.manual_seed(1)
    pictures, eyes = torch.rand(2, 3, 227, 227), torch.rand(1, 2)
    scene, frame = network.encode_scene(pictures[:1]), network.encode_frame(pictures[1:])
    head = network.encode_head(pictures[:1])
    output = network.look(network.relate(scene, frame.scene), frame.saliency, head, eyes)
    for part, whole in zip(output, network(pictures[:1], pictures[1:], pictures[:1], eyes), strict=True):
        torch.testing.assert_close(part, whole)


def test_frames_and_faces_are_encoded_once() -> None:
    quick, video = Quick(), moving(20)
    run(VideoGazeCue(quick), video)
    assert quick.seen == {"frames": 20, "faces": sum(len(o.faces) for o in video)}


@pytest.mark.parametrize("filing", ["gathered", "source", "published"])
def test_maps_do_not_depend_on_grouping(filing: Any) -> None:
    videos = [moving(24) for _ in range(3)]
    maps = [
        run(VideoGazeCue(Quick(), filing=filing), video, batch)
        for video, batch in zip(videos, (1, 5, 24), strict=True)
    ]
    for other in maps[1:]:
        assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(other, maps[0], strict=True)) < 0.1


class Choosing(VideoGazeCue):
    """Every face looks at one point of the frame ``ahead`` of its own, or of its own where the window ends before."""

    def __init__(self, ahead: int, **options: Any) -> None:
        super().__init__(Quick(), **options)
        self.ahead = ahead

    def _follow_window(self, window: list[int], faces: Any, heads: Any) -> Any:
        found = super()._follow_window(window, faces, heads)
        target = window[3] + self.ahead
        point = np.zeros((20, 20), np.float32)
        point[5, 5] = 0.9
        return [
            one._replace(target=target if target in window else window[3], heatmap=point) for one in found
        ]


def lit(maps: list[NDArray[np.uint8]]) -> list[int]:
    """Frames whose map is not uniform."""
    return [k for k, m in enumerate(maps) if (m != m[0, 0]).any()]


@pytest.mark.parametrize(
    ("filing", "expected"),
    # At the end the faces' own frames are the last that a window holds.
    [("gathered", list(range(2, 24))), ("source", list(range(24)))],
)
def test_filing(filing: Any, expected: list[int]) -> None:
    maps = run(Choosing(2, filing=filing), with_one_face(24), batch=5)
    assert len(maps) == 24
    assert lit(maps) == expected


def with_one_face(frames: int) -> list[Observation]:
    return [
        observation(synthetic.image(f"frame{i}", 48, 64, 3), [Box(10, 10, 30, 32)], index=i)
        for i in range(frames)
    ]


def test_published_filing_keeps_the_first_writing() -> None:
    # Faces look three frames ahead, or at their own frame while the window does not reach so far.
    maps = run(Choosing(3, mode="published"), with_one_face(24), batch=5)
    assert lit(maps) == [0, 1, 2, 3, *range(6, 15)]
    # Frames that were seen but hold no target are uniformly blue; the last nine were not seen and are black.
    assert [tuple(m[0, 0]) for m in maps] == [(0, 0, 128)] * 15 + [(0, 0, 0)] * 9
    # Faces look at their own frame: only the first four frames are the middle of the window that sees them first.
    assert lit(run(Choosing(0, mode="published"), with_one_face(24))) == [0, 1, 2, 3]


def test_published_windows_see_a_frame_first_as_their_newest() -> None:
    plan = VideoGazeCue(Quick(), mode="published")._plan
    for k in range(30):
        steps = [t for t in range(60) if k in buffered_window(t, 7)]
        assert plan.needs(k) == steps[0]
        assert plan.frames(k) == buffered_window(steps[0], 7)
        assert max(plan.frames(k)) == k


def test_short_videos_have_a_map_for_every_frame() -> None:
    for mode in ("published", "corrected"):
        for frames in (1, 2, 3):
            assert lit(run(Choosing(0, mode=mode), with_one_face(frames))) == list(range(frames))


@pytest.mark.parametrize("name", [f.name for f in fields(VideoGazeQuirks) if f.name != "bgr"])
def test_every_switch_changes_something_of_the_map(name: str) -> None:
    peaked = np.zeros((20, 20), np.float32)
    peaked[4:6, 4:6], peaked[5, 5] = 0.2, 0.8
    heatmaps = [peaked, peaked]
    plain = draw_heatmaps(heatmaps, 20, GRID, choose_quirks(VideoGazeQuirks, "corrected", {}))
    changed = draw_heatmaps(heatmaps, 20, GRID, choose_quirks(VideoGazeQuirks, "corrected", {name: True}))
    assert plain.shape == (*GRID, 3)
    assert changed.shape != plain.shape or (changed != plain).any()


def test_colours_of_the_input_are_exchanged_only_as_published() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    image[..., 0] = 255
    for bgr in (True, False):
        inputs = VideoGazeCue(Quick(), bgr=bgr)._inputs([image])
        assert inputs[0, :, 0, 0].tolist() == ([0, 0, 1] if bgr else [1, 0, 0])


def test_bright_places_stay_bright_when_corrected() -> None:
    peak = np.full((20, 20), 1e-6, np.float32)
    peak[3, 3] = 0.9
    corrected = draw_heatmaps([peak, peak], 20, (20, 20), choose_quirks(VideoGazeQuirks, "corrected", {}))
    assert tuple(corrected[3, 3]) == (128, 0, 0)  # the end of the colour map
    assert draw_heatmaps([peak, peak], 20, (20, 20), PUBLISHED)[3, 3, 0] != 128


@pytest.mark.parametrize("mode", ["published", "corrected"])
@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [Box(-20, -30, 8, 9), Box(90, 60, 140, 200)],
        [Box(5, 5, 6, 6)],
        [Box(5, 5, 5, 5), Box(200, 200, 220, 220), Box(float("nan"), 0, 5, 5)],
        [Box(k, k, k + 9, k + 9) for k in range(40)],
    ],
)
def test_hard_boxes(mode: Any, boxes: list[Box]) -> None:
    video = [observation(np.full((72, 96, 3), 90, np.uint8), boxes) for _ in range(11)]
    maps = run(VideoGazeCue(Quick(), mode=mode), video, batch=4)
    assert len(maps) == 11
    assert {m.shape for m in maps} <= {(20, 20, 3), (9, 12, 3)}


def test_frames_of_changing_size() -> None:
    video = [
        observation(np.full((40 + 5 * (i % 4), 60, 3), 90, np.uint8), [Box(3, 3, 20, 20)][: i % 3])
        for i in range(12)
    ]
    maps = run(VideoGazeCue(Quick()), video, batch=5)
    assert [m.shape[:2] for m in maps] == [o.grid for o in video]


def test_numbers_that_are_none_cost_only_their_face(caplog: pytest.LogCaptureFixture) -> None:
    quick = Quick()
    plain = quick.encode_head
    quick.encode_head = lambda faces: plain(faces).index_fill(0, torch.tensor([0]), float("nan"))  # type: ignore[method-assign]
    cue = VideoGazeCue(quick)
    video = moving(4, people=2)
    results = results_of(cue, video)
    assert len(results) == 4
    assert cue.failures > 0
    assert "gaze_in_frame" in results[1].found[video[1].faces[1].track_id]
    assert caplog.text.count("not numbers") == 1


@pytest.mark.parametrize("options", [{"mode": "old"}, {"filing": "here"}, {"wrap": True}])
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be one of"):
        VideoGazeCue(Quick(), **options)


def test_every_quirk_is_described() -> None:
    for field in fields(VideoGazeQuirks):
        assert f"``{field.name}``" in (VideoGazeQuirks.__doc__ or "")
