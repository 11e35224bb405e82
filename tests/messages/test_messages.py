"""Messages are what was sent, or refused in words."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gasp.messages import Encoded, Limits, Message, ProtocolError, pack, read_message, unpack, write_message
from gasp.messages.message import DTYPES

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
any_array = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


@given(st.text(max_size=10), st.dictionaries(st.text(max_size=5), plain, max_size=4),
       st.dictionaries(st.text(max_size=5), any_array, max_size=3))  # fmt: skip
def test_what_is_sent_arrives(kind, body, sent):
    stream = io.BytesIO()
    write_message(stream, Message(kind, body, sent))
    write_message(stream, Message("next"))
    stream.seek(0)
    for got in (read_message(stream), unpack([bytes(part) for part in pack(Message(kind, body, sent))])):
        assert (got.kind, got.body) == (kind, body)
        assert list(got.arrays) == list(sent)
        for name, array in sent.items():
            assert got.array(name).dtype == array.dtype
            np.testing.assert_array_equal(got.array(name), array)
    assert read_message(stream).kind == "next"
    assert read_message(stream) is None


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_nonsense_is_refused(parts):
    with pytest.raises(ProtocolError):
        unpack(parts)


@given(st.binary(min_size=1, max_size=80))
def test_nonsense_in_a_pipe_is_refused(junk):
    with pytest.raises(ProtocolError):
        read_message(io.BytesIO(junk))


@given(st.data())
def test_damage_is_refused_or_is_a_message(data):
    whole = b"".join(
        map(bytes, pack(Message("frame", {"sequence": 3}, {"image": np.zeros((4, 5, 3), np.uint8)})))
    )
    header = len(pack(Message("frame", {"sequence": 3}, {"image": np.zeros((4, 5, 3), np.uint8)}))[0])
    place = data.draw(st.integers(0, header - 1))
    damaged = bytearray(whole)
    damaged[place] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        unpack([bytes(damaged[:header]), bytes(damaged[header:])])


def header(**changes):
    entry = {"name": "image", "encoding": "raw", "dtype": "uint8", "shape": [2, 2]}
    entry.update(changes.pop("entry", {}))
    return msgpack.packb(
        {"protocol": "gasp", "version": 1, "kind": "frame", "body": {}, "arrays": [entry], **changes}
    )


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (header(version=2), "Version 2 of the protocol"),
        (header(protocol="other"), '"protocol": "gasp"'),
        (header(kind=3), "'kind' is not a str"),
        (header(body=[]), "'body' is not a dict"),
        (header(arrays={}), "'arrays' is not a list"),
        (header(arrays=[]), "0 arrays, but 1 came"),
        (header(entry={"shape": [2, 3]}), "takes 6 bytes, but 4 came"),
        (header(entry={"shape": [-2, -2]}), "whole numbers"),
        (header(entry={"shape": [2**40, 2**40, 2**40]}), "but 4 came"),
        (header(entry={"shape": [True, 4]}), "whole numbers"),
        (header(entry={"dtype": "object"}), "dtype 'object'"),
        (header(entry={"encoding": "gif"}), "encoding 'gif'"),
        (header(entry={"encoding": "jpeg"}), "no JPEG or PNG"),
        (header(entry={"name": 3}), "no name"),
    ],
)
def test_faults_are_named(first, words):
    with pytest.raises(ProtocolError, match=words):
        unpack([first, b"abcd"])


def test_pictures_travel_compressed():
    ramp = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
    colour = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], 2)
    got = unpack(pack(Message("frame", {}, {"a": Encoded(colour), "b": Encoded(ramp, "png")})))
    assert np.abs(got.array("a").astype(int) - colour).mean() < 4
    np.testing.assert_array_equal(got.array("b"), ramp)


def test_limits_hold_before_memory_is_taken():
    small = Limits(message=1000, pixels=100)
    with pytest.raises(ProtocolError, match="at most 1000"):
        unpack(pack(Message("frame", {}, {"a": np.zeros(2000, np.uint8)})), small)
    with pytest.raises(ProtocolError, match="64 x 48"):
        unpack(pack(Message("frame", {}, {"a": Encoded(np.zeros((48, 64), np.uint8), "png")})), small)
    head = struct.pack("<4sIII", b"GASP", 10, 1, 2**32 - 1)
    with pytest.raises(ProtocolError, match="at most"):
        read_message(io.BytesIO(head), small)


def test_a_stream_that_ends_in_the_middle():
    stream = io.BytesIO()
    write_message(stream, Message("frame", {}, {"a": np.zeros(20, np.uint8)}))
    whole = stream.getvalue()
    for end in range(1, len(whole)):
        with pytest.raises(ProtocolError, match="in the middle"):
            read_message(io.BytesIO(whole[:end]))
