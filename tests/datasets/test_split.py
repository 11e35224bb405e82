from __future__ import annotations

import pytest

from gasp.datasets import held_back
from gasp.errors import UsageError

IDS = [f"{number:04d}" for number in range(2000)]


def test_the_choice_never_changes():
    assert sorted(held_back(IDS[:40])) == ["0001", "0002", "0007", "0008", "0018", "0021", "0022", "0029"]


def test_other_ids_do_not_matter():
    assert held_back(IDS[:100]) == held_back(IDS) & set(IDS[:100])


def test_about_the_fraction_is_held_back_and_smaller_ones_are_subsets():
    assert len(held_back(IDS)) / len(IDS) == pytest.approx(0.15, abs=0.03)
    assert held_back(IDS, 0.05) < held_back(IDS, 0.15)
    assert held_back(IDS, 0) == frozenset()
    assert held_back(IDS, 1) == frozenset(IDS)


def test_another_seed_gives_another_choice():
    assert held_back(IDS) != held_back(IDS, seed="other")


def test_a_fraction_out_of_range_is_refused():
    with pytest.raises(UsageError, match=r"1\.5"):
        held_back(IDS, 1.5)
