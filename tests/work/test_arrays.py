from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp.datasets.columns import read_npz
from gasp.errors import InputError
from gasp.work.arrays import read_array


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_an_array_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy(np.arange(6).reshape(2, 3)))
    for mapped in (False, True):
        assert read_array(path, mapped=mapped).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_is_missing_or_would_be_unpickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.npy does not exist; look elsewhere"):
        read_array(tmp_path / "a.npy", advice="; look elsewhere")
    (tmp_path / "b.npy").write_bytes(npy(np.array([{}], object)))
    with pytest.raises(InputError, match=r"b\.npy cannot be read as an array: .*pickle"):
        read_array(tmp_path / "b.npy")
    (tmp_path / "c.npy").write_bytes(npz(x=np.zeros(3)))
    with pytest.raises(InputError, match=r"c\.npy cannot be read.*several arrays"):
        read_array(tmp_path / "c.npy")


HEADERS = [
    b"{'descr': '|u1', 'fortran_order': False, 'shape': (3,", b"{}", b"[", b"5", b"(" * 5000, b"\x00",
    b"{'descr': '|O'}",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }", b"'" * 3, b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("mapped", [False, True])
def test_any_header_is_read_or_refused_in_words(header: bytes, mapped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8))
    with pytest.raises(InputError, match=r"a\.npy cannot be read"):
        read_array(path, mapped=mapped)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(1, 500), archive=st.booleans())
def test_damage_anywhere_is_read_or_refused_in_words(
    place: int, value: int, cut: int, archive: bool, tmp_path: Path
) -> None:
    content = npz(x=np.arange(9.0), y=np.ones(9)) if archive else npy(np.arange(30.0))
    damaged = bytearray(content[:cut])
    if place < len(damaged):
        damaged[place] = value
    path = tmp_path / "a"
    path.write_bytes(damaged)
    with suppress(InputError):
        if archive:
            read_npz(path, ["x", "y"])
        else:
            read_array(path)
