"""The commands of 2021: downloads and scripts, against a server of one's own."""

from __future__ import annotations

import functools
import http.server
import io
import json
import re
import shlex
import sys
import tarfile
import threading
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from gasp.config.presets2021 import training_preset
from gasp.datasets.downloads import DATASETS, find_datasets
from gasp.errors import UsageError
from gasp.published.commands import downloads as downloads2021
from gasp.published.commands import scripts as scripts2021
from gasp.published.working_folder import centre_bias
from gasp.weights.catalogue import ENTRIES
from helpers.gaze_sets import make_stavis
from helpers.grouped_frames import make_grouped


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that is served, and tried first."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("GASP_MIRROR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("GASP_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield folder
    server.shutdown()
    server.server_close()


def tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def seven_zip(path, files):
    py7zr = pytest.importorskip("py7zr")
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(data, name)
    return path


def test_the_working_directory_is_prepared(tmp_path):
    assert downloads2021.main(["--working_dir", str(tmp_path), "-q"]) == 0
    for name in (
        "temp",
        "logs/metrics",
        "datasets/processed/train_ave.csv",
        "datasets/processed/center_bias_bw.jpg",
    ):
        assert (tmp_path / name).exists(), name
    preset = tmp_path / "gazenet/configs/train_configs/GASPExp001_DAMGMU1x1Conv.json"
    assert json.loads(preset.read_text()) == training_preset("GASPExp001_DAMGMU1x1Conv")
    preset.write_text("mine")
    (tmp_path / "datasets/processed/train_ave.csv").write_text("mine")
    assert downloads2021.main(["--working_dir", str(tmp_path), "-q"]) == 0
    assert preset.read_text() == (tmp_path / "datasets/processed/train_ave.csv").read_text() == "mine"


def test_datasets_are_fetched_and_arranged(tmp_path, mirror, capsys):
    base = mirror / "datasets"
    tar(base / "findwho" / "master.tar.gz", {
        "find-master/Our_database/video_database.mat": b"mat", "find-master/readme": b"no",
        "find-master/Our_database/raw_videos/1.mp4": b"mp4",
    })  # fmt: skip
    tar(base / "stavis_preprocessed" / "DIEM.tar.gz", {"DIEM/a_1x1/maps/eyeMap_00001.jpg": b"1"})
    for number in (1, 2):
        tar(base / "stavis_preprocessed" / f"Coutrot_db{number}.tar.gz",
            {f"Coutrot_db{number}/clip7/fixMap_00001.mat": b"1"})  # fmt: skip
    tar(
        base / "processed/Grouped_frames/coutrot1/coutrot1.tar.gz", {"coutrot1/clip_1/1/captured_1.jpg": b"1"}
    )
    names = ["findwho", "stavis_preprocessed", "processed/Grouped_frames/coutrot1"]
    assert downloads2021.main(["--working_dir", str(tmp_path), "--datasets", *names, "-q"]) == 0
    for name in (
        "findwho/video_database.mat", "findwho/raw_videos/1.mp4",
        "stavis_preprocessed/diem/a_1x1/maps/eyeMap_00001.jpg",
        "stavis_preprocessed/coutrot2/clip_7/fixMap_00001.mat",
        "processed/Grouped_frames/coutrot1/clip_1/1/captured_1.jpg",
    ):  # fmt: skip
        assert (tmp_path / "datasets" / name).is_file(), name
    assert not (tmp_path / "datasets/findwho/readme").exists()
    record = json.loads((tmp_path / "datasets/findwho/master.tar.gz.download.json").read_text())
    assert len(record["files"]["master.tar.gz"]) == 64
    (base / "findwho" / "master.tar.gz").unlink()
    assert downloads2021.main(["--working_dir", str(tmp_path), "--datasets", "findwho", "-q"]) == 0, (
        "it is there"
    )


def test_what_programs_cannot_fetch_is_explained(tmp_path, mirror, monkeypatch, capsys):
    folder = mirror / "datasets/ave/database1"
    folder.mkdir(parents=True)
    (folder / "coutrot_database1.mat").write_bytes(b"mat")
    monkeypatch.setattr("gasp.datasets.downloads.Source.urls", property(lambda self: []))
    words = ["--working_dir", str(tmp_path), "--datasets", "ave/database1", "-q"]
    place = tmp_path / "datasets/ave/database1"
    mirrored = folder / "ERB3_Stimuli.zip"
    assert downloads2021.main(words) == 1
    said = capsys.readouterr().err
    assert "mega.nz" in said
    assert str(place / "ERB3_Stimuli.zip") in said
    assert (place / "coutrot_database1.mat").is_file(), "the other file is there"
    with zipfile.ZipFile(place / "ERB3_Stimuli.zip", "w") as archive:
        archive.writestr("ERB3_Stimuli/clip_1.avi", "avi")
    assert not mirrored.exists()
    assert downloads2021.main(words) == 0
    assert (place / "ERB3_Stimuli/clip_1.avi").read_text() == "avi"


def test_archives_that_climb_out_are_refused(tmp_path, mirror, capsys):
    tar(mirror / "datasets/processed/Grouped_frames/diem/diem.tar.gz", {"../../evil.jpg": b"1"})
    words = ["--working_dir", str(tmp_path), "--datasets", "processed/Grouped_frames/diem", "-q"]
    assert downloads2021.main(words) == 1
    assert "outside the folder" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("evil.jpg"))


def test_diem_comes_as_an_archive_per_video(tmp_path, mirror):
    inner = seven_zip(tmp_path / "talk_96x64.7z", {"talk_96x64/video/talk_96x64.mp4": b"mp4"}).read_bytes()
    other = seven_zip(tmp_path / "walk_96x64.7z", {"video/walk_96x64.mp4": b"mp4"}).read_bytes()
    prefix = "informatik3/wtm/datasets/External Datasets/DIEM"
    tar(
        mirror / "datasets/ave/diem/diem.tar.gz",
        {f"{prefix}/talk_96x64.7z": inner, f"{prefix}/walk_96x64.7z": other},
    )
    words = ["--working_dir", str(tmp_path), "--datasets", "ave/diem", "-q"]
    assert downloads2021.main(words) == 0
    folder = tmp_path / "datasets/ave/diem"
    for name in ("talk_96x64", "walk_96x64"):
        assert (folder / name / "video" / f"{name}.mp4").read_bytes() == b"mp4"
    assert not list(folder.glob("*.7z"))


@pytest.fixture
def no_addresses(monkeypatch):
    monkeypatch.setattr("gasp.datasets.downloads.Source.urls", property(lambda self: []))


@pytest.mark.parametrize("how", ["parts", "7z", "unpacked"])
def test_files_put_there_by_hand_are_taken(how, tmp_path, no_addresses, capsys):
    folder = tmp_path / "datasets/ave/database2"
    folder.mkdir(parents=True)
    (folder / "coutrot_database2.mat").write_bytes(b"mat")
    files = {"ERB4_Stimuli/clip_1.avi": b"avi" * 1000}
    if how == "parts":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(*next(iter(files.items())))
        data = (tmp_path / "a.zip").read_bytes()
        for number in (1, 3):
            (folder / f"ERB4_Stimuli.zip.00{number}").write_bytes(data[1200 * (number - 1) : 1200 * number])
        words = ["--working_dir", str(tmp_path), "--datasets", "ave/database2", "-q"]
        assert downloads2021.main(words) == 1
        assert "part 002 of 3 is missing" in " ".join(capsys.readouterr().err.split())
        (folder / "ERB4_Stimuli.zip.002").write_bytes(data[1200:2400])
    elif how == "7z":
        seven_zip(folder / "ERB4_Stimuli.7z", files)
    else:
        (folder / "ERB4_Stimuli").mkdir()
        (folder / "ERB4_Stimuli/clip_1.avi").write_bytes(b"avi" * 1000)
    assert downloads2021.main(["--working_dir", str(tmp_path), "--datasets", "ave/database2", "-q"]) == 0
    assert (folder / "ERB4_Stimuli/clip_1.avi").read_bytes() == b"avi" * 1000
    assert not list(folder.glob("*.7z")) + list(folder.glob("*.00?"))


def test_archives_that_python_cannot_read_are_explained(tmp_path, no_addresses, capsys):
    folder = tmp_path / "datasets/ave/database1"
    folder.mkdir(parents=True)
    (folder / "coutrot_database1.mat").write_bytes(b"mat")
    (folder / "ERB3_Stimuli.rar").write_bytes(b"Rar!\x1a\x07\x00")
    words = ["--working_dir", str(tmp_path), "--datasets", "ave/database1", "-q"]
    assert downloads2021.main(words) == 1
    said = capsys.readouterr().err
    assert "RAR" in said
    assert str(folder / "ERB3_Stimuli") in said, "where to unpack it"
    (folder / "ERB3_Stimuli.rar").unlink()
    (folder / "ERB3_Stimuli.zip").write_bytes(b"PK")
    (folder / "ERB3_Stimuli.z01").write_bytes(b"PK")
    assert downloads2021.main(words) == 1
    assert ".z01" in capsys.readouterr().err


def test_published_frames_do_not_replace_generated_ones(tmp_path, mirror, capsys):
    tar(mirror / "datasets/processed/Grouped_frames/diem/diem.tar.gz", {"diem/a/1/captured_1.jpg": b"1"})
    manifest = tmp_path / "datasets/processed/Manifests/diem/a.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    words = ["--working_dir", str(tmp_path), "--datasets", "processed/Grouped_frames/diem", "-q"]
    assert downloads2021.main(words) == 1
    assert "gasp generate" in capsys.readouterr().err
    manifest.unlink()
    assert downloads2021.main(words) == 0


def test_terms_are_asked_for_at_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GASP_OFFLINE", "1")
    words = ["--working_dir", str(tmp_path), "--models", "saliency_prediction/gasp/<...>", "-q"]
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "no")
    assert downloads2021.main(words) == 2
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert downloads2021.main(words) == 1, "GASP_OFFLINE forbids the rest"
    assert "gasp-damgmu: licence unknown" in capsys.readouterr().err


LINES = (
    "gasp_download_manager --working_dir $GASP_CWD --datasets processed/Grouped_frames/coutrot1 "
    "processed/Grouped_frames/coutrot2 processed/Grouped_frames/diem",
    "gasp_download_manager --working_dir $GASP_CWD --datasets ave/database1 ave/database2 ave/diem "
    "stavis_preprocessed --models emotion_recognition/esr9/checkpoints/pretrained_esr9_orig "
    "gaze_estimation/gaze360/checkpoints/pretrained_gaze360_orig "
    "gaze_following/videogaze/checkpoints/pretrained_videogaze_orig "
    "saliency_prediction/dave/checkpoints/pretrained_dave_orig",
    'gasp_download_manager --working_dir $GASP_CWD --models "saliency_prediction/gasp/<...>"',
    "gasp_scripts --working_dir $GASP_CWD --scripts postprocess_get_from_stavis",
    "gasp_scripts --working_dir $GASP_CWD --scripts clean_temp",
)
"""What the README of 2021 says to type, but for `gasp_infer` and `gasp_train`."""


def publish(mirror):
    """Every file of every dataset and model, tiny, packed as published."""
    base = mirror / "datasets"
    for name in ("coutrot1", "coutrot2", "diem"):
        tar(
            base / f"processed/Grouped_frames/{name}/{name}.tar.gz", {f"{name}/clip_9/1/captured_1.jpg": b"1"}
        )
    for number in (1, 2):
        folder = base / f"ave/database{number}"
        folder.mkdir(parents=True)
        (folder / f"coutrot_database{number}.mat").write_bytes(b"mat")
        with zipfile.ZipFile(folder / f"ERB{number + 2}_Stimuli.zip", "w") as archive:
            archive.writestr(f"ERB{number + 2}_Stimuli/clip_1.avi", "avi")
    inner = seven_zip(mirror / "a_1x1.7z", {"a_1x1/video/a_1x1.mp4": b"mp4"}).read_bytes()
    tar(base / "ave/diem/diem.tar.gz", {"informatik3/wtm/datasets/External Datasets/DIEM/a_1x1.7z": inner})
    points = io.BytesIO()
    savemat(points, {"eyeMap": np.eye(4)})
    for file, video in (("DIEM", "clip_9"), ("Coutrot_db1", "clip9"), ("Coutrot_db2", "clip9")):
        maps = {"maps/eyeMap_00001.jpg": b"1", "fixMap_00001.mat": points.getvalue()}
        tar(
            base / f"stavis_preprocessed/{file}.tar.gz",
            {f"{file}/{video}/{name}": data for name, data in maps.items()},
        )
    for entry in ENTRIES:
        for file in entry.files:
            path = mirror / "gazenet/models" / entry.folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() and entry.network and not file.archive:
                torch.save({"x": torch.zeros(1)}, path)


def test_the_lines_of_the_readme(tmp_path, mirror, monkeypatch):
    publish(mirror)
    root = tmp_path / "work"
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "y")
    monkeypatch.setattr(
        "gasp.published.commands.downloads._fetch_detector", lambda fetch: None
    )  # has a known checksum
    for line in LINES:
        program, *words = shlex.split(line.replace("$GASP_CWD", str(root)))
        assert {"gasp_download_manager": downloads2021, "gasp_scripts": scripts2021}[program].main(
            words
        ) == 0, line
    for name in (
        "datasets/processed/Grouped_frames/coutrot2/clip_9/1/captured_1.jpg",
        "datasets/ave/database2/ERB4_Stimuli/clip_1.avi",
        "datasets/ave/diem/a_1x1/video/a_1x1.mp4",
        "datasets/stavis_preprocessed/coutrot1/clip_9/maps/eyeMap_00001.jpg",
        "datasets/processed/Grouped_frames/diem/clip_9/1/transformed_salmap_1.jpg",
        "gazenet/models/emotion_recognition/esr9/checkpoints/pretrained_esr9_orig/Net-Branch_9.pt",
        "gazenet/models/saliency_prediction/dave/checkpoints/pretrained_dave_orig/model.pth.tar",
        "temp",
    ):
        assert (root / name).exists(), name
    assert (
        len(list(root.glob("gazenet/models/saliency_prediction/gasp/checkpoints/*/*/*/last_model.pt"))) == 5
    )


def test_every_name_of_2021_is_known(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GASP_OFFLINE", "1")
    monkeypatch.setenv("GASP_MIRROR", "http://127.0.0.1:9")
    words = [
        "--working_dir",
        str(tmp_path),
        "--models",
        "<...>",
        "--datasets",
        "<...>",
        "--accept-license",
        "-q",
    ]
    assert downloads2021.main(words) == 1
    said = capsys.readouterr().err
    for name in (*DATASETS, *MODELS):
        assert str(tmp_path / "datasets" / name) in said or str(tmp_path / "gazenet/models" / name) in said, (
            name
        )


MODELS = (
    "emotion_recognition/esr9/checkpoints/pretrained_esr9_orig",
    "gaze_estimation/gaze360/checkpoints/pretrained_gaze360_orig",
    "gaze_following/videogaze/checkpoints/pretrained_videogaze_orig",
    *(
        f"saliency_prediction/{name}/checkpoints/pretrained_{name}_orig"
        for name in ("dave", "tased", "unisal", "stavis", "avinet")
    ),
    *(
        f"saliency_prediction/gasp/checkpoints/pretrained_{name}"
        for name in (
            "gaspdamencgmuconv/GASPDAMEncGMUConv/c9dd4df04e87469ea9914ea67af764b6",
            "sequencegaspdamencalstmgmuconv/SequenceGASPDAMEncALSTMGMUConv/1e49c1fe600c43f09291c4e6710c769c",
            "sequencegaspdamencalstmgmuconv/SequenceGASPDAMEncALSTMGMUConv/abd7f5d2c76147f685c3082f5bdb733d",
            "sequencegaspdamencalstmgmuconv/SequenceGASPDAMEncALSTMGMUConv/ba69921766274fe69363b9cd9b5d4b76",
            "seqeuncegaspdamencgmualstmconv/SequenceGASPDAMEncGMUALSTMConv/53ea3d5639d647fc86e3974d6e1d1719",
        )
    ),
)


def test_what_is_free_is_fetched_whatever_the_other_terms(tmp_path, mirror, capsys):
    folder = "saliency_prediction/unisal/checkpoints/pretrained_unisal_orig"
    (mirror / "gazenet/models" / folder).mkdir(parents=True)
    torch.save({"x": torch.zeros(1)}, mirror / "gazenet/models" / folder / "model.pth")
    gaze360 = "gaze_estimation/gaze360/checkpoints/pretrained_gaze360_orig"
    assert downloads2021.main(["--working_dir", str(tmp_path), "--models", gaze360, folder, "-q"]) == 2
    assert "Gaze360 research licence" in capsys.readouterr().err
    assert (tmp_path / "gazenet/models" / folder / "model.pth").is_file()


def test_names_of_datasets_and_models(tmp_path, capsys):
    assert len(find_datasets(["processed/Grouped_frames/<...>"])) == 3
    assert len(find_datasets(["<...>"])) == len(DATASETS) == 9
    with pytest.raises(UsageError, match="did you mean 'ave/database1'"):
        find_datasets(["ave/databse1"])
    assert (
        downloads2021.main(["--working_dir", str(tmp_path), "--models", "saliency_prediction/gsap/<...>"])
        == 2
    )
    assert downloads2021.main(["--working_dir", str(tmp_path), "--datasets", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_models_go_where_they_were(tmp_path, mirror, monkeypatch, capsys):
    monkeypatch.setenv("GASP_OFFLINE", "1")
    words = ["--working_dir", str(tmp_path), "--models", "saliency_prediction/gasp/<...>", "-q"]
    assert downloads2021.main(words) == 2
    assert "--accept-license" in capsys.readouterr().err
    assert downloads2021.main([*words, "--accept-license"]) == 1
    said = capsys.readouterr().err
    assert said.count("last_model.pt") == 5
    assert str(tmp_path / "gazenet/models/saliency_prediction/gasp") in said


def test_scripts(tmp_path, capsys):
    root = str(tmp_path)
    (tmp_path / "temp" / "old").mkdir(parents=True)
    (tmp_path / "temp" / "old" / "cache.pkl").touch()
    assert scripts2021.main(["--working_dir", root, "--scripts", "clean_temp", "generate_config_files"]) == 0
    assert list((tmp_path / "temp").iterdir()) == []
    assert len(list((tmp_path / "gazenet/configs/train_configs").glob("*.json"))) == 134
    assert scripts2021.main(["--working_dir", str(tmp_path / "none"), "--scripts", "clean_temp"]) == 0
    assert scripts2021.main(["--working_dir", root, "--scripts", "clean_tmp"]) == 2
    assert "did you mean 'clean_temp'" in capsys.readouterr().err
    assert scripts2021.main(["--working_dir", root, "--scripts", "postprocess_get_from_stavis"]) == 1


def test_targets_come_from_stavis(tmp_path, capsys):
    make_grouped(tmp_path / "datasets/processed/Grouped_frames", frames=4)
    make_grouped(tmp_path / "datasets/processed/Grouped_frames", video="unknown", frames=1)
    prepared = make_stavis(tmp_path / "datasets/stavis_preprocessed")
    words = ["--working_dir", str(tmp_path), "--scripts", "postprocess_get_from_stavis"]
    assert scripts2021.main(words) == 0
    assert "3 frames have the targets" in capsys.readouterr().out
    frame = tmp_path / "datasets/processed/Grouped_frames/diem/talk_96x64/2"
    density = prepared / "diem/talk_96x64/maps/eyeMap_00002.jpg"
    assert (frame / "transformed_salmap_1.jpg").read_bytes() == density.read_bytes()
    with Image.open(frame / "transformed_fixmap_1.jpg") as picture:
        assert (picture.size, picture.mode) == ((120, 120), "L")
        rows, columns = np.nonzero(np.asarray(picture) > 127)
    assert rows.mean() == pytest.approx(30.5 * 120 / 64, abs=1.5)
    assert columns.mean() == pytest.approx(21.5 * 120 / 96, abs=1.5)


def test_the_centre_bias_stand_in():
    picture = centre_bias()
    assert picture.shape == (244, 298)
    assert (picture > 0).mean() == pytest.approx(0.22, abs=0.01)
    np.testing.assert_array_equal(picture, picture[::-1, ::-1])


@pytest.mark.parametrize("name", ["gasp_download_manager", "gasp_infer", "gasp_scripts"])
def test_console_commands_lead_somewhere(name, capsys):
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    module, function = re.search(rf'^{name} = "([\w.]+):(\w+)"$', text, re.M).groups()
    with pytest.raises(SystemExit) as ended:
        getattr(import_module(module), function)(["--help"])
    assert ended.value.code == 0
    assert f"usage: {name}" in capsys.readouterr().out
