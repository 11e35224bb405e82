from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
import torch

from gasp import create_model, list_models
from gasp.errors import UsageError
from gasp.weights.catalogue import ENTRIES, Entry, find_entries, find_entry, list_entries

EACH = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def test_names_are_unique() -> None:
    names = [name for entry in ENTRIES for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names))
    assert len({(entry.folder, entry.checkpoint) for entry in ENTRIES}) == len(ENTRIES)
    assert list_entries() == sorted(entry.name for entry in ENTRIES)


def test_every_published_network_has_an_entry() -> None:
    others = {name for name in list_models() if "GASP" not in name and name != "glance"}
    assert others <= {entry.network for entry in ENTRIES}
    assert sum("GASP" in (entry.network or "") for entry in ENTRIES) == 5


@EACH
def test_entries_are_complete_and_sensible(entry: Entry) -> None:
    for text in (entry.name, entry.title, entry.training_data, entry.citation, entry.licence.name):
        assert text.strip() == text != ""
    assert re.fullmatch(r"[a-z0-9-]+", entry.name)
    assert re.search(r"(19|20)\d\d", entry.citation)
    assert re.fullmatch(r"[\w./-]+", entry.folder)
    assert not entry.folder.startswith("/")
    assert ".." not in entry.folder
    assert urlsplit(entry.homepage).hostname
    assert entry.licence.restricted == (entry.licence.commercial is not True)


@EACH
def test_files_have_addresses(entry: Entry) -> None:
    assert entry.files
    for file in entry.files:
        assert file.urls
        for url in file.urls:
            assert urlsplit(url).scheme in ("http", "https")
            assert urlsplit(url).hostname
        secure = [url.startswith("https:") for url in file.urls]
        assert secure == sorted(secure, reverse=True), "https first"
        assert file.archive in (None, "tar", "zip")
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.size is None or file.size > 0
    names = [file.name for file in entry.files if file.archive is None]
    assert entry.checkpoint == "." or entry.checkpoint in names or entry.files[0].archive


@EACH
def test_preprocessing_is_sensible(entry: Entry) -> None:
    how = entry.preprocessing
    assert how.width > 0
    assert how.height > 0
    assert how.colour_order in ("RGB", "BGR")
    assert all(0 <= mean < 1 for mean in how.mean)
    assert all(0 < std <= 1 for std in how.std)
    assert 0 <= how.source_index < how.window
    assert bool(how.sound) == (
        entry.network in ("dave", "avinet", "light_asd") or "audiovisual" in entry.name
    )


@EACH
def test_scores_are_in_range(entry: Entry) -> None:
    for score in entry.scores:
        assert 0 < score.value < 5
        assert score.source


@EACH
def test_network_and_options_make_a_network(entry: Entry) -> None:
    if entry.network is None:
        assert all(file.sha256 for file in entry.files), "nothing else tells whether the file is sound"
        return
    with torch.device("meta"):
        model = create_model(entry.network, **entry.options)
    assert sum(parameter.numel() for parameter in model.parameters()) > 100_000


def test_entries_are_plain_data() -> None:
    text = json.dumps([entry.to_dict() for entry in ENTRIES])
    assert json.loads(text)[0]["network"] == ENTRIES[0].network


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dave", 1),
        ("seqdamgmualstm", 1),
        ("stavis", 6),
        ("stavis-visual-*", 3),
        ("all", len(ENTRIES)),
        ("<...>", len(ENTRIES)),
        ("saliency_prediction/gasp/<...>", 5),
        ("saliency_prediction/dave/checkpoints/pretrained_dave_orig", 1),
        ("saliency_prediction/avinet/checkpoints/pretrained_avinet_orig", 2),
    ],
)
def test_names_that_mean_entries(name: str, expected: int) -> None:
    assert len(find_entries(name)) == expected


def test_both_spellings_of_the_misspelt_folder_are_known() -> None:
    base = "saliency_prediction/gasp/checkpoints/pretrained"
    rest = "SequenceGASPDAMEncGMUALSTMConv/53ea3d5639d647fc86e3974d6e1d1719"
    for spelling in ("seqeuncegaspdamencgmualstmconv", "sequencegaspdamencgmualstmconv"):
        assert find_entry(f"{base}_{spelling}/{rest}").name == "gasp-seqdamgmualstm"


def test_both_places_of_the_misspelt_folder_are_tried() -> None:
    urls = find_entry("gasp-seqdamgmualstm").files[0].urls
    assert [url.split("/")[-4] for url in urls] == [
        "pretrained_sequencegaspdamencgmualstmconv",
        "pretrained_seqeuncegaspdamencgmualstmconv",
    ]


def test_the_further_run_lies_beside_the_best_one() -> None:
    best, further = find_entry("gasp-seqdamalstmgmu"), find_entry("gasp-seqdamalstmgmu-abd7f5d2")
    names = ("1e49c1fe600c43f09291c4e6710c769c", "abd7f5d2c76147f685c3082f5bdb733d")
    assert further.files[0].urls == (best.files[0].urls[0].replace(*names),)
    assert further.network == best.network
    assert further.options_from_file
    assert further.inputs == ()


def test_unknown_and_ambiguous_names_are_explained() -> None:
    with pytest.raises(UsageError, match=r"Did you mean: .*unisal"):
        find_entry("unisall")
    with pytest.raises(UsageError, match=r"choose one: .*stavis-visual-split3"):
        find_entry("stavis")
