"""The Gaze360 cue: published windows, crops, directions and maps; what is mended; hard input."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from gasp.cues.conic import cone_points, nearest_depth, smooth, to_grey, visible_points
from gasp.cues.face_windows import buffered_window
from gasp.cues.gaze360 import (
    Gaze360Cue,
    Gaze360Quirks,
    carry_over,
    draw_gazes,
    nearest_of_track,
    normalise,
)
from gasp.cues.quirks import choose_quirks
from gasp.cues.saliency import colour_jet, resize
from gasp.errors import UsageError
from gasp.faces.face import Box
from gasp.networks import create_model
from gasp.networks.gaze360 import Gaze360, gaze_direction
from helpers.faces_in_video import (
    check_picture,
    frames_of,
    from_css,
    moving,
    observation,
    results_of,
    run,
    video_of,
)
from helpers.parity import Case, case_names

PUBLISHED = choose_quirks(Gaze360Quirks, "published", {})


class Stub(torch.nn.Module):
    """Angles that follow from the crops' brightness in no time; counts the crops that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.seen = 0

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        self.seen += len(crops)
        return crops.mean((2, 3)) * self.scale

    def head(self, sequence: torch.Tensor) -> Any:
        weights = torch.arange(1.0, 8) / 28
        angles = torch.tanh((sequence * weights[:, None]).sum(1))[:, :2]
        return type("Output", (), {"angles": angles})


def stub_cue(**options: Any) -> Gaze360Cue:
    return Gaze360Cue(Stub(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", case_names("rendering", "conic_*"))
def test_conic_field_is_the_published_one(name: str) -> None:
    case = Case("rendering", name)
    options = case.options
    points = cone_points(options["apex"][:2], np.array(options["gaze"], np.float32))
    check_picture(case, "points", points)
    depth = nearest_depth(points, options["height"], options["width"], tree_order=True)
    field = smooth(depth, truncate=True)
    check_picture(case, "field", field)
    np.testing.assert_allclose(smooth(depth, truncate=False), case.expected["field_float"], atol=0.1)
    check_picture(case, "picture", colour_jet(to_grey(field))[..., ::-1])


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(1, 70),
    st.integers(1, 80),
    st.integers(0, 2**32 - 1),
)
def test_nearest_depth_is_what_a_search_finds(height: int, width: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(-20, 80, (3, count))
    points[2] = np.arange(count)
    x, y = np.meshgrid(np.linspace(0, width, width), np.linspace(0, height, height))
    distance, found = cKDTree(points[:2].T).query(np.stack([x.ravel(), y.ravel()], 1))
    for tree_order in (True, False):
        depth = nearest_depth(points, height, width, tree_order=tree_order).astype(int)
        nearest = points[:, depth]
        np.testing.assert_allclose(np.hypot(nearest[0] - x, nearest[1] - y).ravel(), distance, atol=1e-9)
        if tree_order:
            np.testing.assert_array_equal(depth.ravel(), found)


@pytest.mark.parametrize("size", [(17, 21), (57, 77), (40, 40), (30, 90), (2, 1)])
def test_places_equally_near_are_settled_as_in_the_tree(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(size)
    direction = generator.standard_normal(3).astype(np.float32)
    points = cone_points((5, 8), direction / np.linalg.norm(direction))
    x, y = np.meshgrid(np.linspace(0, size[1], size[1]), np.linspace(0, size[0], size[0]))
    _, found = cKDTree(points[:2].T).query(np.stack([x.ravel(), y.ravel()], 1))
    depth = nearest_depth(points, *size, tree_order=True)
    np.testing.assert_array_equal(depth.ravel(), points[2][found])


@pytest.mark.parametrize("size", [(90, 130), (30, 20), (1, 7), (200, 3)])
def test_whole_numbers_are_smoothed_as_scipy_does(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(size)
    direction = generator.standard_normal(3).astype(np.float32)
    points = cone_points((20, 40), direction / np.linalg.norm(direction))
    noise = generator.integers(-80, 80, size)
    ramp = np.add.outer(np.arange(size[0]), 3 * np.arange(size[1]))
    for field in (noise, ramp, -ramp, nearest_depth(points, *size, tree_order=True)):
        expected = field.astype(np.float64)
        for axis in (0, 1):
            expected = np.trunc(gaussian_filter1d(expected, 6, axis=axis, mode="reflect"))
        np.testing.assert_array_equal(smooth(field.astype(np.float32), truncate=True), expected)


def test_of_points_on_one_place_the_nearest_to_the_camera_shows() -> None:
    points = np.array([[1, 1, 1, 2], [5, 5, 5, 5], [7, -3, 4, 9]])
    order = np.argsort(points[2], kind="stable")
    np.testing.assert_array_equal(visible_points(points, order), [[1, 2], [5, 5], [-3, 9]])


def test_a_cone_along_the_helper_vector_is_finite() -> None:
    diagonal = np.array([0.5**0.5, 0.5**0.5, 0], np.float32)
    assert np.abs(cone_points((0, 0), diagonal)).max() < 100


@pytest.mark.parametrize("name", case_names("rendering", "gaze360_map_*"))
def test_published_map(name: str) -> None:
    case = Case("rendering", name)
    (image,) = frames_of(case)
    seen = observation(image, [from_css(box) for box in case.about["boxes"]])
    directions = [np.array(g, np.float32) for g in case.about["gaze"]]
    drawn = draw_gazes(seen, list(zip(seen.faces, directions, strict=True)), PUBLISHED)
    check_picture(case, "map", drawn[..., ::-1])
    height, width = case.options["size"]
    check_picture(case, "resized", resize(drawn, height, width)[..., ::-1])


def test_published_windows() -> None:
    case = Case("gaze360", "windows")
    for name, size in case.options["windows"]:
        for k, expected in enumerate(case.expected[name]):
            assert [frame + 1 for frame in buffered_window(k, size)] == list(expected)


@pytest.mark.parametrize("name", case_names("gaze360", "window_*"))
def test_published_crops_and_directions(name: str) -> None:
    case = Case("gaze360", name)
    network = create_model("gaze360")
    network.load_state_dict({k.removeprefix("module."): v for k, v in case.state_dict().items()})
    published = case.options["mode"] == "published"
    # A window of seven frames is complete in the middle of the video only: that is the cue without late windows.
    cue = Gaze360Cue(network, mode="published", late_windows=False, height_as_mean=published)  # type: ignore[arg-type]
    video = video_of(case)
    found = cue.push(video)[3].found
    angles = torch.deg2rad(
        torch.tensor(
            [
                [found[face.track_id]["gaze_yaw"], found[face.track_id]["gaze_pitch"]]
                for face in video[3].faces
            ]
        )
    )
    tolerance = case.about["tolerance"]
    np.testing.assert_allclose(gaze_direction(angles), case.expected["cartesian"], **tolerance)
    np.testing.assert_allclose(angles.flip(1), case.expected["display"][:, :2], **tolerance)


@pytest.mark.parametrize("name", case_names("gaze360", "window_*"))
def test_published_crop_means(name: str) -> None:
    case = Case("gaze360", name)
    stub = Stub()
    kept = {}
    cue = Gaze360Cue(
        stub,  # type: ignore[arg-type]
        mode="published",
        late_windows=False,
        height_as_mean=case.options["mode"] == "published",
    )

    def head(sequence: torch.Tensor) -> Any:
        kept["means"] = sequence
        return Stub.head(stub, sequence)

    stub.head = head  # type: ignore[method-assign]
    video = video_of(case)
    cue.push(video[:6])
    cue.push(video[6:])  # completes the window of frame 3 alone
    np.testing.assert_allclose(kept["means"].detach(), case.expected["crop_means"], **case.about["tolerance"])


def test_windows_share_crops() -> None:
    cue = stub_cue()
    run(cue, moving(20, people=2))
    assert cue.network.seen == sum(len(o.faces) for o in moving(20, people=2))


@pytest.mark.parametrize("mode", ["published", "corrected"])
def test_maps_do_not_depend_on_grouping(mode: Any) -> None:
    videos = [moving(22) for _ in range(3)]
    results = [
        results_of(stub_cue(mode=mode), video, batch) for video, batch in zip(videos, (1, 5, 22), strict=True)
    ]
    for others in results[1:]:
        np.testing.assert_array_equal([r.map for r in others], [r.map for r in results[0]])
        assert [r.found for r in others] == [r.found for r in results[0]]


@torch.inference_mode()
def test_a_window_gives_what_the_plain_network_gives() -> None:
    torch.manual_seed(3)
    network = create_model("gaze360")
    assert isinstance(network, Gaze360)
    video = moving(8, people=1)
    video[4] = moving(8, people=2)[3]  # somebody appears
    cue = Gaze360Cue(network, face_box=True)
    results = results_of(cue, video)
    crops = []
    for number in range(1, 8):
        box = next(f.box for f in video[number].faces if f.track_id == 1)
        image = video[number].frame.image[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)]
        crops.append(torch.from_numpy(cv2.resize(image, (224, 224))).permute(2, 0, 1).float() / 255)
    plain = network(normalise(torch.stack(crops), height_as_mean=False)[None]).angles[0]
    found = results[4].found[1]
    np.testing.assert_allclose([found["gaze_yaw"], found["gaze_pitch"]], torch.rad2deg(plain), atol=1e-3)


def test_published_alignment() -> None:
    video = moving(24, people=1)
    cue = stub_cue(mode="published")
    assert cue.future == 12
    results = cue.push(video)
    assert len(results) == 12
    maps = [result.map for result in [*results, *cue.finish()]]
    with_faces = [bool(o.faces) for o in video]
    assert [bool(m.any()) for m in maps] == [w and k < 12 for k, w in enumerate(with_faces)]
    short = run(stub_cue(mode="published"), moving(10, people=1))
    assert [bool(m.any()) for m in short] == [True] * 4 + [False] * 6


def test_every_frame_has_its_map_when_corrected() -> None:
    video = moving(5, people=3)
    results = results_of(stub_cue(), video)
    assert all(r.map.any() for r in results)
    for seen, result in zip(video, results, strict=True):
        assert all("gaze_yaw" in result.found[face.track_id] for face in seen.faces)


def test_a_window_follows_the_person_not_the_place() -> None:
    image = np.zeros((60, 90, 3), np.uint8)
    image[:, 45:] = 200
    dark, bright = Box(5, 5, 35, 35), Box(50, 5, 80, 35)

    def video() -> list[Any]:
        # The order of the list changes with every frame.
        return [
            observation(image, [dark, bright], [1, 2])
            if i % 2
            else observation(image, [bright, dark], [2, 1])
            for i in range(9)
        ]

    tracked = results_of(stub_cue(), video())[4].found
    listed = results_of(stub_cue(list_position=True), video())[4].found
    yaw = {track_id: found["gaze_yaw"] for track_id, found in tracked.items()}
    mixed = {track_id: found["gaze_yaw"] for track_id, found in listed.items()}
    assert abs(yaw[1] - yaw[2]) > 20  # type: ignore[operator]
    assert abs(mixed[1] - mixed[2]) < abs(yaw[1] - yaw[2])  # type: ignore[operator]


def test_carried_over_boxes() -> None:
    a, b = Box(0, 0, 1, 1), Box(0, 0, 2, 2)
    lists = [[], [a], [], [a, b], [b], [], []]
    assert carry_over(lists, 0) == [(3, a), (1, a), (3, a), (3, a), (4, b), (3, b), (3, b)]


def test_the_nearest_crop_of_a_person_stands_for_a_missing_one() -> None:
    a, b = (11, Box(0, 0, 1, 1)), (13, Box(0, 0, 2, 2))
    assert nearest_of_track([None, a, None, b, None, None, None]) == [a, a, b, b, b, b, b]
    assert nearest_of_track([None, a, None, None, None, None, None]) == [None] * 7


def drawn(direction: tuple[float, float, float], faces: int = 1, **switches: bool) -> NDArray[np.int64]:
    quirks = choose_quirks(Gaze360Quirks, "corrected", switches)
    boxes = [Box(90, 70, 110, 90), Box(150, 20, 170, 40)][:faces]
    seen = observation(np.zeros((160, 200, 3), np.uint8), boxes)
    gazes = [(face, np.array(direction, np.float32)) for face in seen.faces]
    return draw_gazes(seen, gazes, quirks).astype(np.int64)


def shift(picture: NDArray[np.int64]) -> tuple[float, float]:
    """The middle of the picture's light from the middle of the first face, in shares of the picture."""
    light = picture.sum(2)
    rows, columns = np.indices(light.shape)
    height, width = light.shape
    return (
        float((light * columns).sum() / light.sum() / width - 0.5),
        float((light * rows).sum() / light.sum() / height - 0.5),
    )


def test_corrected_cones_begin_in_the_face_and_point_where_it_looks() -> None:
    left_and_up = drawn((0.7, 0.5, -0.5))
    x, y = shift(left_and_up)
    assert x < -0.03
    assert y < -0.03
    x, y = shift(drawn((0.7, 0.5, -0.5), mirrored=True))
    assert x > 0.03
    assert y > 0.03


def test_every_switch_changes_something_of_the_map() -> None:
    plain = drawn((0.6, 0.3, -0.74), faces=2)
    for name in (
        "corner_apex",
        "short_cone",
        "mirrored",
        "tree_order",
        "integer_smoothing",
        "endless_background",
        "halved_blending",
        "frame_size",
    ):
        changed = drawn((0.6, 0.3, -0.74), faces=2, **{name: True})
        assert changed.shape != plain.shape or np.abs(changed - plain).max() > 3, name


def test_corrected_background_is_black_and_a_single_face_at_full_strength() -> None:
    plain = drawn((0.6, 0.3, -0.74))
    assert not plain[:5, -5:].any()
    assert plain.max() > 200
    assert drawn((0.6, 0.3, -0.74), halved_blending=True).max() <= 128


def test_crops_are_heads_unless_they_are_to_be_faces() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    image[20:60, 30:50] = 255  # fills the box of the face
    for face_box in (True, False):
        cue = stub_cue(face_box=face_box)
        cue._windows.add(observation(image, [Box(30, 20, 50, 60)]))
        ((_, crops),) = cue._crops([0] * 7, cue._windows.items)
        bright = (cue._inputs(crops) > 1).float().mean()
        assert bright == 1 if face_box else 0.2 < bright < 0.6


def test_height_as_mean_hides_the_face() -> None:
    crops = torch.stack([torch.zeros(3, 224, 224), torch.ones(3, 224, 224)])
    published = normalise(crops, height_as_mean=True)
    assert published.mean() == pytest.approx(-989, abs=1)
    torch.testing.assert_close(
        normalise(crops, height_as_mean=False)[1, :, 0, 0],
        torch.tensor(
            [(1 - m) / d for m, d in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
        ),
    )


@pytest.mark.parametrize("mode", ["published", "corrected"])
@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [Box(-20, -30, 8, 9), Box(90, 60, 140, 200)],
        [Box(5, 5, 6, 6)],
        [Box(5, 5, 5, 5), Box(200, 200, 220, 220), Box(-9, -9, -2, -2)],
        [Box(float("nan"), 0, 5, 5), Box(0, 0, float("inf"), 5)],
        [Box(k, k, k + 9, k + 9) for k in range(40)],
        [Box(-1e7, -1e7, 1e7, 1e7)],
    ],
)
def test_hard_boxes(mode: Any, boxes: list[Box]) -> None:
    video = [observation(np.full((72, 96, 3), 90, np.uint8), boxes) for _ in range(14)]
    maps = run(stub_cue(mode=mode), video)
    assert len(maps) == 14
    assert {m.shape for m in maps} == {(72, 96, 3) if mode == "published" else (36, 48, 3)}


@pytest.mark.parametrize("mode", ["published", "corrected"])
def test_frames_of_changing_size_and_people_who_come_and_go(mode: Any) -> None:
    video = [
        observation(
            np.full((40 + 5 * (i % 4), 60 + 7 * (i % 3), 3), 90, np.uint8),
            [Box(3, 3, 20, 20), Box(30, 5, 50, 30)][: i % 3],
            [i % 2 + 1, 5][: i % 3],
        )
        for i in range(18)
    ]
    maps = run(stub_cue(mode=mode), video, batch=4)
    pictures = [o.frame.image if mode == "published" else o.small for o in video]
    assert [m.shape for m in maps] == [p.shape for p in pictures]


def test_numbers_that_are_none_cost_only_their_face(caplog: pytest.LogCaptureFixture) -> None:
    cue = stub_cue()
    video = moving(6, people=2)
    plain_look = cue._look

    def look(windows: list[Any]) -> torch.Tensor:
        angles = plain_look(windows).clone()
        for row, window in enumerate(windows):
            number, box = window[len(window) // 2]
            x, y = video[number].faces[0].box.centre
            if box.x1 < x < box.x2 and box.y1 < y < box.y2:
                angles[row] = torch.nan
        return angles

    cue._look = look  # type: ignore[method-assign]
    results = results_of(cue, video)
    assert len(results) == 6
    assert all(video[k].faces[0].track_id not in r.found for k, r in enumerate(results))
    assert cue.failures == 6
    assert caplog.text.count("not numbers") == 1


@pytest.mark.parametrize("options", [{"mode": "old"}, {"mirorred": True}, {"mirrored": 1}, {"step": 0}])
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="|".join(map(str, (*options, "switch")))):
        stub_cue(**options)


def test_wider_steps_look_further_ahead() -> None:
    cue = stub_cue(step=3)
    assert cue.future == 9
    assert len(run(cue, moving(12))) == 12


def test_every_quirk_is_described() -> None:
    for field in fields(Gaze360Quirks):
        assert f"``{field.name}``" in (Gaze360Quirks.__doc__ or "")
