from __future__ import annotations

from collections import Counter

import pytest

from gasp.datasets.split import SplitRow, read_split, split_names, write_split
from gasp.errors import InputError, UsageError

PUBLISHED = {
    # rows, Social, Social by data set (diem, coutrot1, coutrot2)
    "train_ave": (93, 37, (14, 11, 12)),
    "validation_ave": (29, 16, (12, 2, 2)),
    "test_ave": (29, 11, (8, 2, 1)),
    "train": (88, 33, (14, 11, 8)),
    "validation": (28, 15, (11, 2, 2)),
    "test": (27, 9, (7, 2, 0)),
    **{f"train_stavis_{k}": (114, 48, (28, 10, 10)) for k in (1, 2, 3)},
    **{f"test_stavis_{k}": (42, 16, (6, 5, 5)) for k in (1, 2, 3)},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_lists(name):
    split = read_split(name)
    social = split.only()
    datasets = Counter(row.dataset for row in social.rows)
    by_set = tuple(datasets[dataset] for dataset in ("diem", "coutrot1", "coutrot2"))
    assert (len(split), len(social), by_set) == PUBLISHED[name]
    assert read_split(f"datasets/processed/{name}.csv").rows == split.rows


def test_all_lists_can_be_read():
    assert set(PUBLISHED) < set(split_names())
    assert all(len(read_split(name)) for name in split_names())


def test_lists_of_ones_own(tmp_path):
    rows = [SplitRow("talk", 25, "Social", "own"), SplitRow("walk", 29.97, "Nature", "own")]
    write_split(tmp_path / "mine.csv", rows)
    split = read_split(tmp_path / "mine.csv")
    assert list(split.rows) == rows
    assert ("own", "talk") in split
    assert ("diem", "talk") not in split
    assert [row.video_id for row in split.only().rows] == ["talk"]
    assert len(split.only(None, ["diem"])) == 0
    assert split.check("own", ["talk", "walk", "more"]) == ["talk", "walk"]
    with pytest.raises(InputError, match=r"walk; did you mean 'walks'"):
        split.check("own", ["talk", "walks"])


def test_wrong_names_and_rows_are_refused(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'train_ave'"):
        read_split("trian_ave")
    with pytest.raises(UsageError, match="no such file"):
        read_split(tmp_path / "train_ave.csv")
    path = tmp_path / "mine.csv"
    head = "video_id,fps,scene_type,dataset\n"
    for text, message in {
        "video_id,fps\na,25\n": "lacks",
        head: "names no video",
        head + "a,0,Social,own\n": "frame rate",
        head + "a,fast,Social,own\n": "fps",
        head + "../a,25,Social,own\n": "id",
        head + "a,25,Social,own\na,30,Social,own\n": "twice",
        head + "a,25\n": "line 2: 2 fields instead of 4",
        head + ",25,Social,own\n": "id",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            read_split(path)
