"""Philox against its published answers and plain integers; streams against their promises."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose, philox

WORD = st.integers(0, 2**32 - 1)


def words_of(counter: tuple[int, ...], seed: int) -> list[int]:
    c0, c1, c2, c3 = (torch.tensor(word) for word in counter)
    return philox((c0, c1, c2, c3), seed).tolist()


def plain_philox(counter: tuple[int, ...], seed: int) -> list[int]:
    """The definition in Python's unbounded integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = seed % 2**32, seed // 2**32
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


# known-answer vectors of the Random123 library, philox4x32 with 10 rounds
@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8],
        ),
        (
            (0xFFFFFFFF,) * 4,
            (0xFFFFFFFF,) * 2,
            [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD],
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_known_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: list[int]
) -> None:
    # the low word of the seed is the first word of the key
    assert words_of(counter, key[0] | key[1] << 32) == expected


@given(st.tuples(WORD, WORD, WORD, WORD), st.integers(0, 2**64 - 1))
def test_philox_equals_its_definition(counter: tuple[int, ...], seed: int) -> None:
    assert words_of(counter, seed) == plain_philox(counter, seed)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8), st.integers(0, 13))
def test_a_clients_stream_does_not_depend_on_its_company(clients: list[int], count: int) -> None:
    key = Key(7, round=3, purpose=Purpose.NEGATIVES)
    together = key.words(torch.tensor(clients), 0, count)
    assert together.shape == (len(clients), count)
    for client, drawn in zip(clients, together, strict=True):
        assert torch.equal(key.words(torch.tensor([client]), 0, count)[0], drawn)


def test_words_can_be_drawn_from_the_middle_of_a_stream() -> None:
    key, clients = Key(1), torch.arange(5)
    whole = key.words(clients, 0, 21)
    assert torch.equal(key.words(clients, 8, 13), whole[:, 8:])
    with pytest.raises(ValueError, match="first = 3 must be a multiple of 4"):
        key.words(clients, 3, 1)


def test_seed_round_purpose_and_part_give_other_streams() -> None:
    clients = torch.arange(3)
    base = Key(5, round=2, purpose=Purpose.SHUFFLE)
    keys = [
        base,
        Key(6, round=2, purpose=Purpose.SHUFFLE),
        Key(5 + 2**32, round=2, purpose=Purpose.SHUFFLE),
        base.at(3),
        base.to(Purpose.DROPOUT),
        base.to(Purpose.SHUFFLE, part=1),
        base.to(Purpose.DROPOUT, part=1),
    ]
    drawn = torch.stack([key.words(clients, 0, 8) for key in keys])
    assert len(drawn.unique()) == drawn.numel()
    assert base.at(3).at(2) == base
    assert base.to(Purpose.NOISE, 4).to(Purpose.SHUFFLE) == base


PARTED = {"SHADOWS", "NEGATIVES", "SHUFFLE", "DROPOUT", "NOISE", "ROUNDING", "BLOCKS", "CANARIES"}
"""Purposes with a stream for each epoch, step, array ..."""
PARTS = 5000


def test_no_two_purposes_share_a_stream() -> None:
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)
    streams: dict[tuple[int, int], str] = {}
    for purpose in Purpose:
        rounds = {"MALICIOUS": [0], "DROPOUTS": [1, 2]}.get(purpose.name, [0, 1, 2])
        for part in range(PARTS if purpose.name in PARTED else 1):
            if (purpose, part) == (Purpose.NOISE, 2**10):
                continue
            for number in rounds:
                place = number, Key(0, number).to(purpose, part).stream
                assert place not in streams, (purpose.name, part, streams[place])
                streams[place] = purpose.name


def test_who_is_malicious_is_drawn_in_round_0_and_who_drops_out_is_not() -> None:
    with pytest.raises(ValueError, match="MALICIOUS is drawn once, in round 0"):
        Key(0, 1).to(Purpose.MALICIOUS).words(torch.arange(2), 0, 4)
    with pytest.raises(ValueError, match="round 0 of DROPOUTS is MALICIOUS"):
        Key(0).to(Purpose.DROPOUTS).words(torch.arange(2), 0, 4)


@given(st.sampled_from(Purpose), st.sampled_from(Purpose))
def test_no_part_reaches_into_another_purpose(one: Purpose, other: Purpose) -> None:
    gap, rest = divmod(int(other) - int(one), 2**8)
    if 0 < gap < 2**20 and rest == 0:
        with pytest.raises(ValueError, match=f"part {gap} of {one.name} is {other.name}"):
            Key(0).to(one, gap).words(torch.arange(2), 0, 4)


def test_streams_of_earlier_releases_draw_what_they_drew() -> None:
    """The numbers behind published figures: purpose in the low bits, a number above them."""
    kept = {"INIT_ITEMS": (1, 1), "INIT_SCORER": (1, 2), "INIT_TRANSFORMER": (1, 3)}
    kept |= {"INIT_FROM_GRAPH": (1, 4), "PROJECTION": (1, 5), "CANARY_COINS": (1, 7)}
    kept |= {"SHADOWS": (1, 1000), "DROPOUTS": (2, 1), "ROTATION": (2, 2), "CLIP_COUNT": (6, 1024)}
    assert {name: divmod(int(Purpose[name]), 2**8)[::-1] for name in kept} == kept


def chi_square(values: Tensor, bins: int) -> float:
    expected = values.numel() / bins
    return float(((torch.bincount(values, minlength=bins) - expected) ** 2 / expected).sum())


def test_integers_are_uniform_below_each_clients_bound() -> None:
    bounds = torch.tensor([1, 2, 10, 97, 2**31 - 1])
    drawn = Key(11).integers(torch.arange(5), 20_000, bounds)
    assert (drawn >= 0).all()
    assert (drawn < bounds[:, None]).all()
    # 99.99 % quantiles of chi-square with bins - 1 degrees of freedom
    for row, limit in ((1, 15.2), (2, 33.8), (3, 155.5)):
        assert chi_square(drawn[row], int(bounds[row])) < limit
    assert torch.equal(drawn[2], Key(11).integers(torch.tensor([2]), 20_000, 10)[0])


def test_uniform_is_uniform_and_open() -> None:
    drawn = Key(3).uniform(torch.arange(40), 5_000)
    assert drawn.dtype == torch.float64
    assert drawn.min() > 0
    assert drawn.max() < 1
    assert chi_square((drawn.flatten() * 100).long(), 100) < 160
    assert drawn.var() == pytest.approx(1 / 12, rel=0.01)


def test_clients_rounds_and_places_are_uncorrelated() -> None:
    places = 4_000
    streams = [Key(1, round=r).uniform(torch.arange(12), places) for r in range(3)]
    shifted = [stream.roll(1, dims=1) for stream in streams]
    correlation = torch.corrcoef(torch.cat(streams + shifted)).fill_diagonal_(0)
    assert correlation.abs().max() < 5 / places**0.5


def test_generator_is_keyed() -> None:
    def draw(key: Key) -> Tensor:
        return torch.rand(4, generator=key.generator())

    assert torch.equal(draw(Key(1)), draw(Key(1)))
    others = [Key(2), Key(1).at(1), Key(1).to(Purpose.NOISE)]
    assert all(not torch.equal(draw(Key(1)), draw(other)) for other in others)
