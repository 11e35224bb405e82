from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gasp.cli.main import main
from gasp.config.settings import PredictSettings
from gasp.datasets import open_set
from gasp.datasets.drawn_truth import draw_density, draw_points
from gasp.datasets.fixations import Fixations
from gasp.datasets.grouped import GroupedFrames
from gasp.datasets.store import PackedStore, PackSettings, pack
from gasp.datasets.video_set import Video
from gasp.errors import InputError, UsageError
from gasp.pipeline.predictor import Predictor
from gasp.results.grouped import GenerateSettings
from gasp.runs.generate import generate as generate_maps
from helpers import gaze_sets
from helpers.gaze_sets import FRAMES, HEIGHT, OBSERVERS, WIDTH, gaze

SMALL = GenerateSettings(size=(HEIGHT, WIDTH))
QUICK = PredictSettings(cues=("captured", "glance"), device="cpu", sound=False, piece=4, batch=2)
MAKERS = {
    "coutrot1": gaze_sets.make_coutrot,
    "coutrot2": lambda folder: gaze_sets.make_coutrot(folder, 2),
    "diem": gaze_sets.make_diem,
    "findwho": gaze_sets.make_findwho,
    "summeetmd": gaze_sets.make_summe_etmd,
    "own": gaze_sets.make_table,
}


@cache
def load(settings: str) -> Predictor:
    return Predictor.load(PredictSettings.model_validate_json(settings))


def generate(videos, names, root, settings, options, **more):
    return generate_maps(
        videos, names, root, settings, options, predictor=load(settings.model_dump_json()), **more
    )


def checksums(root: Path, dataset: str, video: str) -> dict[str, str]:
    return json.loads((root / "Manifests" / dataset / f"{video}.json").read_text())["sha256"]


@pytest.mark.parametrize("name", MAKERS)
def test_raw_data_becomes_training_samples(name, tmp_path):
    videos = open_set(name, MAKERS[name](tmp_path / "raw"))
    (video,) = videos.ids
    done = generate(videos, [video], tmp_path / "processed", QUICK, SMALL)
    assert (done.failed, done.done[0].frames) == ({}, FRAMES)
    pack(
        tmp_path / "processed" / "Grouped_frames",
        tmp_path / "store",
        PackSettings(size=(HEIGHT, WIDTH), target_size=(HEIGHT, WIDTH)),
    )
    store = PackedStore(tmp_path / "store")
    assert store.maps == ("captured", "det_transformed_glance")
    window = store.window(name, video, 2, 10)
    assert window.maps.shape == (10, 6, HEIGHT, WIDTH)
    for place in range(2, 10):
        frame = 2 + place
        density, points = window.targets[place]
        for observer in range(OBSERVERS):
            x, y = gaze(frame, observer)
            assert points[y, x] == 255, "somebody looks here"
            assert density[y, x] > 190, "near the top, however narrow the kernel is"
        assert (points > 0).sum() <= 5 * OBSERVERS
    captured = window.maps[4, :3].transpose(1, 2, 0).astype(int)
    from gasp.video import open_source

    with open_source(videos.video(video).path) as source:
        shown = next(source.frames(6)).image
    assert np.abs(captured - shown).mean() < 6, "frame folder 7 is picture 6"


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    generate(videos, ["talk"], tmp_path / "whole", QUICK, SMALL)

    def stop(progress):
        if progress.done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(videos, ["talk"], tmp_path / "parts", QUICK, SMALL, report=stop)
    assert not (tmp_path / "parts" / "Grouped_frames").exists(), "only whole results are visible"
    reported = []
    generate(
        videos,
        ["talk"],
        tmp_path / "parts",
        QUICK,
        SMALL,
        report=lambda progress: reported.append(progress.done),
    )
    assert reported == list(range(9, FRAMES + 1)), "two pieces of four were finished"
    assert checksums(tmp_path / "parts", "own", "talk") == checksums(tmp_path / "whole", "own", "talk")
    again = generate(videos, ["talk"], tmp_path / "parts", QUICK, SMALL)
    assert again.done[0].unchanged


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path):
    gaze_sets.make_table(tmp_path / "raw")
    code = f"""
import os, signal
from gasp.config.settings import PredictSettings
from gasp.datasets import open_set
from gasp.results.grouped import GenerateSettings
from gasp.runs.generate import generate
def report(progress):
    if progress.done == 7: os.kill(os.getpid(), signal.SIGKILL)
generate(open_set("own", {str(tmp_path / "raw")!r}), ["talk"], {str(tmp_path / "out")!r},
    PredictSettings(cues=("captured", "glance"), device="cpu", sound=False, piece=4, batch=2),
    GenerateSettings(size=({HEIGHT}, {WIDTH})), report=report)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "Grouped_frames").exists()
    videos = open_set("own", tmp_path / "raw")
    # A picture of the piece that was cut off must not survive.
    stray = next((tmp_path / "out" / ".partial" / "own" / "talk" / "writing").rglob("7/captured_1.jpg"))
    stray.write_bytes(b"half")
    generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL)
    generate(videos, ["talk"], tmp_path / "whole", QUICK, SMALL)
    assert checksums(tmp_path / "out", "own", "talk") == checksums(tmp_path / "whole", "own", "talk")
    assert GroupedFrames(tmp_path / "out" / "Grouped_frames").video("own", "talk").problem() is None


def test_stale_results_are_replaced_as_a_whole(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    out = tmp_path / "out"
    generate(videos, ["talk"], out, QUICK, SMALL)
    before = checksums(out, "own", "talk")

    def stop(progress):
        if progress.done == 6:
            raise KeyboardInterrupt

    grey = PredictSettings(cues=("captured",), device="cpu", sound=False)
    with pytest.raises(KeyboardInterrupt):
        generate(videos, ["talk"], out, grey, SMALL, report=stop)
    assert checksums(out, "own", "talk") == before, "the earlier results stay until new ones are whole"
    generate(videos, ["talk"], out, grey, SMALL)
    assert GroupedFrames(out / "Grouped_frames").video("own", "talk").names() == [
        "captured", "transformed_fixmap", "transformed_salmap",
    ]  # fmt: skip


def test_frames_of_others_are_not_replaced_unasked(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    frame = tmp_path / "out" / "Grouped_frames" / "own" / "talk" / "1"
    frame.mkdir(parents=True)
    (frame / "captured_1.jpg").write_bytes(b"theirs")
    failed = generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL).failed
    assert "--overwrite" in failed["own/talk"]
    assert (frame / "captured_1.jpg").read_bytes() == b"theirs"
    assert generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL, overwrite=True).failed == {}
    assert len(list(frame.parent.iterdir())) == FRAMES


def test_a_video_that_cannot_be_read_costs_itself_only(tmp_path):
    folder = gaze_sets.make_table(tmp_path / "raw", ("bad", "talk"))
    (folder / "videos" / "bad.mp4").write_bytes(b"no video" * 50)
    summary = generate(open_set("own", folder), ["bad", "talk"], tmp_path / "out", QUICK, SMALL)
    assert list(summary.failed) == ["own/bad"]
    assert "bad.mp4" in summary.failed["own/bad"]
    assert [video.video for video in summary.done] == ["own/talk"]


@pytest.mark.slow
def test_processes_give_the_same_as_one(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw", ("talk", "walk")))
    reported = set()
    summary = generate(
        videos, videos.ids, tmp_path / "two", QUICK, SMALL, jobs=2,
        report=lambda progress: reported.add((progress.task, progress.done)),
    )  # fmt: skip
    assert summary.failed == {}
    generate(videos, ["talk"], tmp_path / "one", QUICK, SMALL)
    assert checksums(tmp_path / "two", "own", "talk") == checksums(tmp_path / "one", "own", "talk")
    assert ("own/walk", FRAMES) in reported


def test_the_command(tmp_path, capsys):
    gaze_sets.make_table(tmp_path / "raw")
    (tmp_path / "mine.csv").write_text(
        "video_id,fps,scene_type,dataset\ntalk,25,Social,own\nwalk,25,Nature,own\nclip_1,25,Social,coutrot1\n"
    )
    words = [
        "generate", "own", "--folder", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--size", "96x64",
        "--split", str(tmp_path / "mine.csv"), "--cues", "captured,motion", "--device", "cpu", "-q",
    ]  # fmt: skip
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [(video["video"], video["frames"]) for video in said["videos"]] == [("own/talk", FRAMES)]
    assert main([*words, "--scene-type", "all"]) == 1
    assert "walk; did you mean 'talk'" in " ".join(capsys.readouterr().err.split())
    assert main([*words[:-1], "--videos", "tallk"]) == 1
    assert main([*words, "--jobs", "0"]) == 2
    with Image.open(tmp_path / "out/Grouped_frames/own/talk/1/captured_1.jpg") as picture:
        assert picture.size == (96, 64)


def test_targets_of_a_frame():
    video = Video("talk", Path("talk.mp4"), 200, 100, 25, 10, False, 0)
    fixations = Fixations.create([50.5, 150.5], [50.5, 50.5], [0, 1], weight=[2, 1])
    density = draw_density(fixations, video, 10, (100, 200))
    assert (density[50, 50], density[50, 150]) == (255, 127), "highest is 255; rounded down"
    assert density[50, 60] == int(255 * np.exp(-0.5))
    half = draw_density(fixations, video, 10, (50, 100))
    assert np.abs(half.astype(int) - density.reshape(50, 2, 100, 2).mean((1, 3))).max() <= 3
    points = draw_points(fixations, video, (100, 200))
    assert points[50, 49:52].tolist() == [255, 255, 255]
    assert (points > 0).sum() == 10
    empty = fixations.select([])
    assert not draw_density(empty, video, 10, (10, 10)).any()
    assert not draw_points(empty, video, (10, 10)).any()
    corner = draw_points(Fixations.create([0.0], [99.9]), video, (100, 200))
    assert (corner > 0).sum() == 3


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    (tmp_path / "out").write_text("a file")
    assert (
        "cannot be written" in generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL).failed["own/talk"]
    )


def test_options_are_checked(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path))
    with pytest.raises(UsageError, match="every frame"):
        generate_maps(videos, ["talk"], tmp_path, PredictSettings(every=2))
    with pytest.raises(UsageError):
        GenerateSettings(size=(0, 10))
    with pytest.raises(InputError):
        open_set("own", os.devnull)


def test_a_map_of_somebody_else_among_our_frames_stays(tmp_path):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL)
    theirs = tmp_path / "out" / "Grouped_frames" / "own" / "talk" / "3" / "det_transformed_theirs_1.jpg"
    theirs.write_bytes(b"theirs")
    grey = PredictSettings(cues=("captured",), device="cpu", sound=False)
    failed = generate(videos, ["talk"], tmp_path / "out", grey, SMALL).failed
    assert "det_transformed_theirs_1.jpg was not written by `gasp generate`" in failed["own/talk"]
    assert theirs.read_bytes() == b"theirs"
    assert generate(videos, ["talk"], tmp_path / "out", QUICK, SMALL).done[0].unchanged


@pytest.mark.parametrize("number", range(1, 5))
def test_killed_between_any_two_renamings_of_publishing(number, tmp_path, monkeypatch):
    videos = open_set("own", gaze_sets.make_table(tmp_path / "raw"))
    out, grey = tmp_path / "out", PredictSettings(cues=("captured",), device="cpu", sound=False)
    generate(videos, ["talk"], tmp_path / "whole", grey, SMALL)
    generate(videos, ["talk"], out, QUICK, SMALL)
    count = 0

    class Killed(BaseException):
        pass

    def replace(source, target):
        nonlocal count
        count += 1
        if count == number:
            raise Killed
        os.rename(source, target)

    killed = False
    with monkeypatch.context() as patched:
        patched.setattr("gasp.results.grouped.os.replace", replace)
        patched.setattr("gasp.runs.run.Job.save_partial", lambda self: None)
        try:
            generate(videos, ["talk"], out, grey, SMALL)
        except Killed:
            killed = True
    assert killed == (count >= number)
    generate(videos, ["talk"], out, grey, SMALL)
    assert checksums(out, "own", "talk") == checksums(tmp_path / "whole", "own", "talk")
    assert GroupedFrames(out / "Grouped_frames").video("own", "talk").problem() is None
    assert not (out / ".partial").exists() or not list((out / ".partial").rglob("*.jpg"))
