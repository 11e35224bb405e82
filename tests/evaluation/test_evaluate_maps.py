"""Maps in folders against small datasets whose scores are known."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from gasp import metrics
from gasp.datasets import held_back
from gasp.errors import InputError, UsageError
from gasp.evaluation import diagnostics
from gasp.evaluation.comparison import CENTRE, FACES, MEAN, OBSERVERS
from gasp.evaluation.evaluate import evaluate
from gasp.evaluation.items import ItemSet, detect, open_items
from gasp.evaluation.parts import Parts
from gasp.evaluation.results import Evaluation, VideoScores
from gasp.evaluation.score_tables import latex, markdown, plain, write_outputs
from gasp.evaluation.scoring import KEYS, METRICS
from gasp.evaluation.settings import EvaluationSettings
from gasp.evaluation.systems import MapFolder, read_map
from gasp.evaluation.table2021 import Row2021, write_table_2021
from gasp.evaluation.truth import Others, truth_at
from gasp.metrics.density import centre_prior
from gasp.work.folder import WorkFolder
from gasp.work.progress import Progress
from helpers.evaluation_sets import (
    HEIGHT,
    PICTURES,
    WIDTH,
    make_pictures,
    make_videos,
    perfect_map,
    save_perfect,
)

QUICK = EvaluationSettings(workers=1, draws=200, examples=False)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("sets") / "looks")


@pytest.fixture(scope="module")
def perfect(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_perfect(tmp_path_factory.mktemp("maps") / "perfect", pictures)


def mean(evaluation: Evaluation, system: str, key: str) -> float:
    return evaluation.overall(evaluation.names.index(system), KEYS.index(key)).mean


def score(dataset: Path, *folders: MapFolder, settings: EvaluationSettings = QUICK) -> Evaluation:
    return evaluate(open_items(dataset, split="all"), folders=folders, settings=settings)


@pytest.fixture(scope="module")
def scored(pictures: Path, perfect: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A perfect system, the same again, and one that is a little worse."""
    worse = save_perfect(tmp_path_factory.mktemp("maps") / "worse", pictures, power=0.3)
    folders = [MapFolder("perfect", perfect), MapFolder("again", perfect), MapFolder("worse", worse)]
    return score(pictures, *folders, settings=EvaluationSettings(workers=2, draws=200))


def test_a_perfect_prediction_has_perfect_scores_and_beats_the_baselines(scored: Evaluation) -> None:
    assert scored.names == ["perfect", "again", "worse", CENTRE, MEAN, FACES, OBSERVERS]
    assert mean(scored, "perfect", "cc") == pytest.approx(1, abs=1e-6)
    assert mean(scored, "perfect", "sim") == pytest.approx(1, abs=1e-5)
    assert mean(scored, "perfect", "kld") == pytest.approx(0, abs=1e-5)
    for m, metric in enumerate(METRICS):
        for baseline in (CENTRE, MEAN):
            better = scored.difference(0, scored.names.index(baseline), m)
            assert better.mean * (1 if metric.higher else -1) > 0, (metric.key, baseline)
    assert not scored.problems.counts


def test_scores_are_those_of_the_metrics(scored: Evaluation, pictures: Path) -> None:
    items = open_items(pictures, split="all")
    truth = truth_at(items.items[1], 0)
    centre = centre_prior(HEIGHT, WIDTH)
    place = scored.names.index(CENTRE)
    found = dict(zip(KEYS, scored.per_video[1, place], strict=True))
    others = Others(items.items).fixated(1, HEIGHT, WIDTH)
    assert others is not None
    assert not others[truth.fixated].all(), "the picture's own fixations are not among the others"
    expected = {
        "nss": metrics.nss(centre, truth.fixated),
        "cc": metrics.cc(centre, truth.density),
        "sim": metrics.similarity(centre, truth.density),
        "kld": metrics.kl_divergence(centre, truth.density),
        "aucj": metrics.auc_judd(centre, truth.fixated),
        "aucb": metrics.auc_borji(centre, truth.fixated),
        "aucs": metrics.auc_shuffled(centre, truth.fixated, others),
        "ifg": metrics.information_gain(centre, truth.fixated, centre),
    }
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-9), key


def test_equal_systems_differ_by_nothing_and_worse_ones_are_seen(scored: Evaluation) -> None:
    for m in range(len(METRICS)):
        same = scored.difference(1, 0, m)
        assert (same.mean, same.low, same.high) == (0, 0, 0)
    worse = scored.difference(2, 0, KEYS.index("cc"))
    assert worse.mean <= worse.high < 0


def test_other_observers_come_near_the_perfect_prediction(scored: Evaluation) -> None:
    ceiling, perfect = (mean(scored, name, "nss") for name in (OBSERVERS, "perfect"))
    assert mean(scored, CENTRE, "nss") < 0 < ceiling < perfect * 1.2
    assert mean(scored, OBSERVERS, "cc") > 0.8
    assert mean(scored, OBSERVERS, "ifg") > 1


def test_the_mean_of_others_leaves_the_own_picture_out(pictures: Path) -> None:
    items = open_items(pictures, split="all").items
    left = Others(items).density(0, HEIGHT, WIDTH)
    assert left is not None
    x, y = (0.15, 0.2)
    there = left[round(y * HEIGHT), round(x * WIDTH)]
    elsewhere = left[round(0.25 * HEIGHT), round(0.85 * WIDTH)]
    assert there < 0.6 * elsewhere
    assert Others(items[:1]).density(0, HEIGHT, WIDTH) is None
    assert Others(items[:1]).fixated(0, HEIGHT, WIDTH) is None


def test_one_picture_has_no_others(pictures: Path, perfect: Path) -> None:
    items = open_items(pictures, split="all")
    alone = evaluate(
        ItemSet("looks", items.items[:1]), folders=[MapFolder("perfect", perfect)], settings=QUICK
    )
    assert math.isnan(mean(alone, "perfect", "aucs"))
    assert math.isnan(mean(alone, MEAN, "nss"))
    assert any("no other video" in what for what in alone.problems.counts)


def test_what_cannot_be_scored_is_named_and_costs_itself(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    items = {item.id: item for item in open_items(pictures, split="all").items}
    np.save(folder / "a.npy", np.full((HEIGHT, WIDTH), np.nan))
    np.save(folder / "b.npy", np.full((HEIGHT, WIDTH), 0.5))
    np.save(folder / "e.npy", np.full((2, 2), [1e30, 0]))
    np.save(folder / "c.npy", perfect_map(items["c"]) - 3)
    (folder / "d.png").write_bytes(b"no picture")
    np.save(folder / "stranger.npy", np.ones((4, 4)))
    found = score(pictures, MapFolder("bad", folder))
    counts, names = found.problems.counts, found.problems.names
    expected = {
        "maps of bad with NaN or infinity (not scored)": "a",
        "constant maps of bad (NSS, CC and SIM are undefined)": "b",
        "maps of bad with negative values (raised so that the least is 0)": "c",
        "names in the folder of bad that are not evaluated": "stranger",
    }
    for what, name in expected.items():
        assert (counts[what], names[what]) == (1, [name])
    assert names["maps of bad with values beyond 1e+12 (not scored)"] == ["e"]
    assert "d.png" in names["unreadable maps of bad"][0]
    cc = found.per_video[:, 0, KEYS.index("cc")]
    assert cc[2] == pytest.approx(1, abs=1e-4)
    assert np.isnan(np.delete(cc, 2)).all()
    assert found.per_video[1, 0, KEYS.index("aucj")] == 0.5
    assert np.isfinite(found.per_video[:, found.names.index(CENTRE)]).all()
    text = markdown(found)
    assert "stranger" in text
    assert "nan" not in text
    assert "bad has a score on fewer than all 5 pictures: NSS 1, CC 1" in text
    assert "## Scores: 5 pictures\n" in text


def test_maps_of_any_size_are_resized_and_other_shapes_named(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sizes"
    for item in open_items(pictures, split="all").items:
        (folder / item.id / "maps").mkdir(parents=True)
        size = (48, 32) if item.id != "a" else (40, 40)
        small = cv2.resize(perfect_map(item), size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / item.id / "maps" / "000001.png"), np.rint(255 * small).astype(np.uint8))
    found = score(pictures, MapFolder("small", folder))
    assert found.problems.names == {
        "maps of small of another shape than the picture (stretched over it)": ["a"]
    }
    assert mean(found, "small", "cc") > 0.97


def test_a_picture_without_fixations_is_left_out(tmp_path: Path) -> None:
    dataset = make_pictures(tmp_path / "looks", without="b", faces=False)
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in PICTURES:
        np.save(maps / f"{name}.npy", np.random.default_rng(0).random((8, 12)))
    found = score(dataset, MapFolder("noise", maps))
    assert [video.id for video in found.videos] == ["a", "c", "d", "e"]
    assert found.problems.names["frames without fixations"] == ["b"]
    assert FACES not in found.names


def test_names_that_do_not_match_at_all_are_an_error(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    np.save(folder / "other.npy", np.ones((4, 4)))
    with pytest.raises(InputError, match=r"none of the 5 names of looks.*'a'.*other"):
        score(pictures, MapFolder("ours", folder))
    with pytest.raises(InputError, match="is not a folder"):
        MapFolder("ours", tmp_path / "nowhere")


def test_scores_at_a_smaller_size_are_nearly_the_same(pictures: Path, perfect: Path) -> None:
    small = EvaluationSettings(workers=1, draws=200, longest=48, examples=False)
    found = score(pictures, MapFolder("perfect", perfect), settings=small)
    assert mean(found, "perfect", "cc") == pytest.approx(1, abs=0.01)


def test_gain_over_the_others(pictures: Path, perfect: Path) -> None:
    over = EvaluationSettings(workers=1, draws=200, gain_over="others", examples=False)
    found = score(pictures, MapFolder("perfect", perfect), settings=over)
    assert found.gain_over == MEAN
    assert mean(found, MEAN, "ifg") == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0}, {"longest": 3}, {"gain_over": "x"}, {"draws": 1}, {"workers": 0}]
)
def test_impossible_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(
        UsageError, match=next(iter(wrong)).replace("longest", "size").replace("gain_over", "x")
    ):
        EvaluationSettings(**wrong)  # type: ignore[arg-type]


def test_settings_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="did you mean 'ceiling'"):
        EvaluationSettings.read({"ceilin": True})


def test_only_what_decides_the_numbers_counts_for_kept_parts() -> None:
    assert set(EvaluationSettings(workers=7).model_dump()) == {
        "rate", "longest", "gain_over", "draws", "seed", "ceiling",
    }  # fmt: skip


@pytest.mark.parametrize("plan", [b"", b"[]", b"{}", b"\xff\x00", b'{"fingerprint": {}}', b"[" * 100_000])
def test_a_folder_of_parts_that_was_not_written_so_begins_anew(tmp_path: Path, plan: bytes) -> None:
    work = WorkFolder(tmp_path / "parts")
    work.path.mkdir()
    (work.path / "plan.json").write_bytes(plan)
    (work.path / "0.npz").write_bytes(b"not one")
    with work.locked():
        parts = Parts(work, "mine")
        assert parts.load(0, "v0") is None
    assert (work.path / "0.npz").read_bytes() == b"not one", "what is not ours stays"


# --- videos ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_videos(tmp_path_factory.mktemp("sets") / "talks")


@pytest.fixture(scope="module")
def video_maps(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Perfect maps from frame 3 on, as gasp predict writes them; frame 5 of v1 is missing."""
    folder = tmp_path_factory.mktemp("maps")
    for item in open_items(videos).items:
        (folder / item.id / "maps").mkdir(parents=True)
        for frame in range(3, 12):
            if (item.id, frame) != ("v1", 5):
                np.save(folder / item.id / "maps" / f"{frame + 1:06d}.npy", perfect_map(item, frame))
    return folder


def test_videos_are_scored_frame_by_frame(videos: Path, video_maps: Path) -> None:
    found = score(videos, MapFolder("perfect", video_maps))
    assert [list(video.frames) for video in found.videos] == [list(range(3, 12))] * 2
    np.testing.assert_allclose(
        found.videos[0].since_cut, found.videos[0].times - found.videos[0].times[0] + 0.12
    )
    assert found.problems.counts["frames without fixations"] == 6
    assert found.problems.names["missing maps of perfect"] == ["v1 frame 5"]
    assert mean(found, "perfect", "cc") == pytest.approx(1, abs=1e-6)
    assert found.undefined(0) == 1
    groups = diagnostics.by_scene_time(found, 0, "nss")
    assert [(group.low, group.frames) for group in groups] == [(0, 18)]
    assert diagnostics.by_faces(found, 0, "nss") == [], (
        "the set has no marks and no pipeline looked for faces"
    )


def test_rate_takes_the_middle_of_intervals(videos: Path, video_maps: Path) -> None:
    settings = EvaluationSettings(rate=6.25, workers=1, draws=200, examples=False)
    found = score(videos, MapFolder("perfect", video_maps), settings=settings)
    assert [list(video.frames) for video in found.videos] == [[6, 10]] * 2


def test_a_video_that_breaks_off_costs_itself(videos: Path, video_maps: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(videos, tmp_path / "talks")
    (dataset / "videos" / "v0.mp4").write_bytes(b"no video at all")
    found = score(dataset, MapFolder("perfect", video_maps))
    assert [video.id for video in found.videos] == ["v1"]
    assert "v0.mp4" in found.problems.names["videos that could not be read"][0]
    (dataset / "videos" / "v1.mp4").write_bytes(b"")
    with pytest.raises(InputError, match=r"nothing to evaluate.*v1\.mp4"):
        score(dataset, MapFolder("perfect", video_maps))


def test_an_interrupted_evaluation_goes_on(
    videos: Path, video_maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items, folders = open_items(videos), [MapFolder("perfect", video_maps)]
    settings = EvaluationSettings(workers=1, draws=200)
    seen: list[str] = []

    def see(event: Progress) -> None:
        if event.unit == "frames":
            seen.append(event.task)

    def stop(event: Progress) -> None:
        see(event)
        if event.task == "v1":
            raise KeyboardInterrupt

    work = WorkFolder(tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt), work.locked():
        evaluate(items, folders=folders, settings=settings, work=work, progress=stop)
    seen.clear()
    with work.locked():
        again = evaluate(items, folders=folders, settings=settings, work=work, progress=see)
    assert set(seen) == {"v1"}
    whole = evaluate(items, folders=folders, settings=settings)
    np.testing.assert_array_equal(again.per_video, whole.per_video)
    assert again.problems == whole.problems
    assert [one.jpeg for one in again.videos[0].examples] == [one.jpeg for one in whole.videos[0].examples]
    other = EvaluationSettings(workers=1, draws=300)
    seen.clear()
    with work.locked():
        evaluate(items, folders=folders, settings=other, work=work, progress=see)
    assert set(seen) == {"v0", "v1"}, "parts of another evaluation are not used"


def test_a_damaged_part_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "0.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"0\.npz cannot be read"):
        VideoScores.load(tmp_path / "0.npz")


# --- what is written ---------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables(scored: Evaluation, tmp_path: Path) -> None:
    written = write_outputs(scored, tmp_path)
    assert {path.name for path in written} == {
        *("summary.md", "summary.json", "table.tex", "videos.csv", "frames.csv", "metrics.csv"),
        *("metrics_again.csv", "metrics_worse.csv"),
    }
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in written}
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["systems"]["perfect"]["scores"]["cc"]["mean"] == pytest.approx(1, abs=1e-6)
    assert summary["differences"]["systems"]["again"]["nss"]["mean"] == 0
    frames = rows(tmp_path / "frames.csv")
    assert len(frames) == 5 * 7
    assert float(frames[0]["cc"]) == pytest.approx(1, abs=1e-6)
    assert (frames[0]["faces"], frames[0]["fixations"]) == ("1", "6")
    assert len(rows(tmp_path / "videos.csv")) == 5 * 7
    table = rows(tmp_path / "metrics.csv")
    assert list(table[0])[:5] == ["video_id", "dataset", "frames_len", "sim", "aucj"]
    assert [row["video_id"] for row in table] == list(PICTURES)


def test_markdown_and_latex(scored: Evaluation) -> None:
    text = markdown(scored)
    for part in ("| perfect | ", CENTRE, OBSERVERS, "Paired differences to perfect", "KLD ↓"):
        assert part in text
    table = latex(scored)
    assert table.count("\\\\\n") == 8
    assert "\\toprule" in table
    assert "$\\mathbf{1.000}$" in table
    lines = [line for line in table.splitlines() if line.endswith("\\\\")]
    assert all(line.count("&") == len(METRICS) for line in lines)


def test_nan_becomes_null(pictures: Path, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for name in PICTURES:
        np.save(maps / f"{name}.npy", np.zeros((4, 6)))
    text = json.dumps(plain(score(pictures, MapFolder("black", maps))), allow_nan=False)
    assert json.loads(text)["systems"]["black"]["scores"]["nss"]["mean"] is None


def test_table_of_2021_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    first = Row2021("clip_1", "diem", 10, {"nss": 2.0, "cc": math.nan}, [0.25, 0.0])
    write_table_2021(path, [first], keys=("cc", "nss"))
    write_table_2021(path, [Row2021("clip_2", "diem", 5, {"nss": 1.0})], keys=("cc", "nss"))
    write_table_2021(path, [Row2021("clip_1", "diem", 11, {"nss": 3.0})], keys=("cc", "nss"))
    assert path.read_text() == ("video_id,dataset,frames_len,cc,nss\nclip_1,diem,11,,3\nclip_2,diem,5,,1\n")
    gates = tmp_path / "metrics_gate_scores.csv"
    assert gates.read_text() == "video_id,dataset,frames_len,0,1\nclip_1,diem,10,0.25,\n"
    with pytest.raises(InputError, match="lacks the column"):
        write_table_2021(path, [first], keys=("cc", "sim"))


# --- reading -----------------------------------------------------------------------------------------------


def test_sets_are_told_apart(pictures: Path, videos: Path, tmp_path: Path) -> None:
    assert detect(pictures) == "images"
    assert detect(videos) == "talks"
    with pytest.raises(InputError, match="looks like no dataset"):
        detect(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        detect(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="did you mean 'findwho'"):
        open_items(pictures, "findwo")
    with pytest.raises(UsageError, match="held-back"):
        open_items(pictures, split="train")
    with pytest.raises(UsageError, match="blur"):
        open_items(videos, blur=0.1)


def test_held_back_pictures_are_the_default(pictures: Path) -> None:
    kept = held_back(PICTURES)
    if kept:
        assert {item.id for item in open_items(pictures).items} == kept
    else:
        with pytest.raises(InputError, match="--split all"):
            open_items(pictures)


@pytest.mark.parametrize("content", [b"", b"text", np.zeros((2, 2, 2)), np.array(["a"])])
def test_a_file_that_is_no_map(content: object, tmp_path: Path) -> None:
    path = tmp_path / "000001.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, np.asarray(content))
    with pytest.raises(InputError, match=r"000001\.npy"):
        read_map(path)
