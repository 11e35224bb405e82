from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from gasp.config.experiments import Experiment
from gasp.datasets.split import SplitRow, write_split
from gasp.datasets.store import PackSettings, pack
from gasp.errors import GaspError, InputError, UsageError
from gasp.training.batch import ClipBatch
from gasp.training.data import ClipData
from helpers.grouped_frames import MAPS, make_grouped

SIZES = {"size": (16, 16), "target_size": (8, 8)}
VIDEOS = ("one", "two", "three", "four", "five")
FRAMES = 8


def write_list(path: Path, *videos: str, scene_type: str = "Social", dataset: str = "diem") -> None:
    write_split(path, [SplitRow(video, 25, scene_type, dataset) for video in videos])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for video in VIDEOS:
        make_grouped(root / "frames", "diem", video, FRAMES, size=32)
    pack(root / "frames", root / "store", PackSettings(MAPS, **SIZES))
    write_list(root / "train.csv", *VIDEOS[:4])
    write_list(root / "validation.csv", VIDEOS[4])
    return root


def experiment(*, batch: int = 2, context: int = 3, seed: int = 0, **clips: Any) -> Experiment:
    lists = {"source": "store", "train": "train.csv", "validation": "validation.csv"}
    return Experiment.read(
        {
            "network": "SequenceGASPDAMEncALSTMGMUConv",
            "options": {"sequence_len": context},
            "clips": lists | SIZES | clips,
            "trainer": {"batch": batch, "seed": seed},
        }
    )


class Reader(pl.LightningModule):
    """Notes which clips come."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, int, tuple[str, ...]]] = []

    def training_step(self, batch: ClipBatch, index: int) -> torch.Tensor:
        assert batch.maps.dtype == torch.uint8
        self.seen.append(("train", self.current_epoch, batch.names))
        return self.weight.sum()

    def validation_step(self, batch: ClipBatch, index: int) -> None:
        self.seen.append(("validation", self.current_epoch, batch.names))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def read(data: ClipData, epochs: int = 3) -> list[tuple[str, int, tuple[str, ...]]]:
    """What a trainer is given."""
    reader = Reader()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", use_distributed_sampler=False, logger=False, num_sanity_val_steps=0,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(reader, data)
    return reader.seen


def video(name: str) -> str:
    return name.partition(",")[0].partition("/")[2]


def test_every_epoch_has_every_video_once(made: Path) -> None:
    seen = read(ClipData(experiment(seed=5), made))
    assert [part for part, _, _ in seen] == ["train", "train", "validation"] * 3
    for epoch in range(3):
        names = [name for part, at, names in seen if (part, at) == ("train", epoch) for name in names]
        assert sorted(map(video, names)) == sorted(VIDEOS[:4])
    assert seen[0][2] != seen[3][2]
    # Validation draws anew in every epoch, as in 2021.
    assert len({names for part, _, names in seen if part == "validation"}) > 1
    assert seen == read(ClipData(experiment(seed=5), made))
    assert seen != read(ClipData(experiment(seed=6), made))


def test_loader_processes_change_nothing(made: Path) -> None:
    assert read(ClipData(experiment(workers=2), made)) == read(ClipData(experiment(), made))


def test_folders_and_store_give_the_same_order(made: Path) -> None:
    assert read(ClipData(experiment(source="frames"), made), 1) == read(ClipData(experiment(), made), 1)


def test_without_validation(made: Path) -> None:
    seen = read(ClipData(experiment(validation=None), made), 1)
    assert [part for part, _, _ in seen] == ["train", "train"]


def test_all_clips_of_validation_are_the_same_each_time(made: Path) -> None:
    seen = read(ClipData(experiment(validation_choice="all"), made), 2)
    validated = [names for part, _, names in seen if part == "validation"]
    assert validated[:2] == validated[2:]
    starts = [name.split()[2] for names in validated[:2] for name in names]
    assert starts == ["1", "4", "7"]


def test_a_batch_is_no_larger_than_the_data(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = ClipData(experiment(batch=16), made)
    with caplog.at_level(logging.WARNING):
        assert data.batch == 4
    assert "4 clips instead of 16" in caplog.text
    assert len(read(data, 1)[0][2]) == 4


# --- what is found before the first epoch ----------------------------------------------------------------


def refusal(root: Path, kind: type[GaspError], **options: Any) -> str:
    with pytest.raises(kind) as caught:
        ClipData(experiment(**options), root).check()
    return str(caught.value)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "root")
    return tmp_path / "root"


def test_a_source_that_is_not_there(made: Path) -> None:
    assert "nowhere does not exist" in refusal(made, InputError, source="nowhere")
    (made / "empty").mkdir(exist_ok=True)
    assert "holds no <dataset>/<video> folder" in refusal(made, InputError, source="empty")


def test_lists_without_videos(made: Path) -> None:
    assert "there is no split" in refusal(made, UsageError, train="lost.csv")
    write_list(made / "nature.csv", *VIDEOS, scene_type="Nature")
    said = refusal(made, InputError, train="nature.csv")
    assert "has no videos of scene type Social (5 rows in all)" in said
    ClipData(experiment(train="nature.csv", scene_type=None), made).check()
    assert "the list nature.csv has no videos" in refusal(made, InputError, validation="nature.csv")
    assert "of coutrot1" in refusal(made, InputError, datasets=("coutrot1",))


def test_videos_that_are_not_there(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_list(made / "some.csv", "one", "lost", "gone")
    data = ClipData(experiment(train="some.csv"), made)
    with caplog.at_level(logging.WARNING):
        data.check()
    assert "2 of 3 videos are not in" in caplog.text
    assert "diem/lost, diem/gone" in caplog.text
    assert data.train is not None
    assert data.train.videos == (("diem", "one"),)
    write_list(made / "none.csv", "lost", "gone")
    assert "has none of the 2 videos of the list none.csv" in refusal(made, InputError, train="none.csv")


@pytest.mark.parametrize("source", ["store", "frames"])
def test_an_unknown_picture(made: Path, source: str) -> None:
    inputs = ("captured", "det_transformed_dawe")
    said = refusal(made, InputError, source=source, inputs=inputs)
    assert "'det_transformed_dawe'" in said
    assert "did you mean 'det_transformed_dave'" in said
    assert "salmap" in refusal(made, InputError, source=source, targets=("salmap", "transformed_fixmap"))


def test_a_store_of_another_size(made: Path) -> None:
    said = refusal(made, UsageError, size=(32, 16))
    assert "clips.size is 32 x 16" in said
    assert "set clips.size to [16, 16]" in said
    assert "clips.target_size" in refusal(made, UsageError, target_size=(16, 16))


def test_a_damaged_store(copy: Path) -> None:
    index = copy / "store" / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"format": "other"}))
    assert "has the format 'other'" in refusal(copy, InputError)


def test_more_frames_than_any_video_has(made: Path) -> None:
    said = refusal(made, InputError, context=9)
    assert "takes 9 frames, but the longest video of the list train.csv has 8" in said


def test_half_written_folders(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(copy / "frames" / "diem" / "one" / "4")
    (copy / "frames" / "diem" / "two" / "3" / "captured_1.jpg").write_bytes(b"")
    data = ClipData(experiment(source="frames"), copy)
    with caplog.at_level(logging.WARNING):
        data.check()
    assert "diem/one is left out: it lacks 1 frames between 1 and 8, such as 4" in caplog.text
    assert "diem/two is left out" in caplog.text
    assert data.train is not None
    assert data.train.videos == (("diem", "three"), ("diem", "four"))
    write_list(copy / "train.csv", "one", "two")
    said = refusal(copy, InputError, source="frames")
    assert "none of the 2 videos of the list train.csv" in said
    assert "half-written" in said


def test_videos_without_targets(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (copy / "frames" / "diem" / "one").glob("*/transformed_salmap_1.jpg"):
        path.unlink()
    data = ClipData(experiment(source="frames"), copy)
    with caplog.at_level(logging.WARNING):
        data.check()
    assert "diem/one is left out: it has no transformed_salmap in any frame" in caplog.text
