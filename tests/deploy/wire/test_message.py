"""Envelopes survive their bytes, and nothing else passes for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.deploy.wire.message import MAX_HEADER_BYTES, Envelope, Malformed, pack, unpack

ASKED = Envelope("train", "d" * 64, "run", 3, "node-1", "n", facts={"best": 2}, parts=(b"a", b"bc"))


def header(**changes):
    return json.dumps(json.loads(pack(ASKED)[0]) | changes).encode()


def test_round_trip():
    assert unpack(pack(ASKED)) == ASKED


def test_a_reply_repeats_the_question():
    reply = ASKED.reply(b"x", facts={"n": 1})
    assert (reply.run, reply.round, reply.node, reply.nonce) == ("run", 3, "node-1", "n")
    assert (reply.parts, reply.facts, reply.code) == ((b"x",), {"n": 1}, "ok")


def test_the_same_question_has_the_same_digest_whenever_it_is_asked():
    assert replace(ASKED, nonce="other", facts={"best": 0}).digest == ASKED.digest
    # what is known already may be left out: the first part is told by the digests it names
    assert replace(ASKED, parts=(b"", b"bc")).digest == ASKED.digest
    for change in (
        {"round": 4},
        {"parts": (b"a", b"bd")},
        {"run": "x"},
        {"kind": "evaluate"},
        {"facts": {"shared": {"net": "0"}}},
    ):
        assert replace(ASKED, **change).digest != ASKED.digest


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [b"{"],
        [b"[]"],
        [b"[" * 100_000],
        [b"x" * (MAX_HEADER_BYTES + 1)],
        [header(schema="other"), b"a", b"bc"],
        [header(more=1), b"a", b"bc"],
        [header(round="3"), b"a", b"bc"],
        [header(round=True), b"a", b"bc"],
        [header(round=-1), b"a", b"bc"],
        [header(round=2**31), b"a", b"bc"],
        [header(run="r" * 60_000), b"a", b"bc"],
        [header(run="\ud800"), b"a", b"bc"],
        [header(node="a\nb"), b"a", b"bc"],
        [header(facts=[]), b"a", b"bc"],
        [pack(ASKED)[0], b"a"],
        [pack(ASKED)[0], b"bc", b"a"],
        [*pack(ASKED), b""],
    ],
)
def test_what_is_no_envelope_is_refused(chunks):
    with pytest.raises(Malformed):
        unpack(chunks)


@given(st.integers(0, 2), st.data())
def test_a_changed_part_is_told(place, data):
    chunks = [bytearray(chunk) for chunk in pack(ASKED)]
    at = data.draw(st.integers(0, len(chunks[place]) - 1))
    bit = data.draw(st.integers(0, 7))
    chunks[place][at] ^= 1 << bit
    try:
        found = unpack([bytes(chunk) for chunk in chunks])
    except Malformed:
        return
    # a header that still reads may differ, but then its parts are those it was made for
    assert place == 0
    assert found != ASKED
    assert found.parts == ASKED.parts
