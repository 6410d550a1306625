"""What travels of an update: bounded, rounded, and the same through memory and through bytes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
from ufgraphfr.federation.codec import decode_report, encode_report
from ufgraphfr.federation.upload import UploadSpec

CLIENTS = torch.tensor([5, 2, 9])
KEY = Key(3, round=4)


def update() -> dict[str, Tensor]:
    weights = torch.randn(3, 40, 10, generator=torch.Generator().manual_seed(0))
    return {"weights": weights, "count": torch.tensor([[3.0], [1.0], [2.0]])}


@given(st.floats(1e-3, 1e3), st.floats(1e-4, 1e4))
def test_no_update_is_longer_than_the_clip(clip: float, size: float) -> None:
    exact = update()["weights"] * size
    sent = UploadSpec(clip=clip).prepared({"weights": exact}, CLIENTS, KEY)["weights"]
    lengths, before = sent.flatten(1).norm(dim=1), exact.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, before.clamp(max=clip))


def test_short_updates_and_small_arrays_pass_as_they_are() -> None:
    sent = UploadSpec(codec="int4", clip=1e6).prepared(update(), CLIENTS, KEY)
    assert torch.equal(sent["count"], update()["count"])
    plain = UploadSpec(clip=1e6).prepared(update(), CLIENTS, KEY)
    assert torch.equal(plain["weights"], update()["weights"])


@pytest.mark.parametrize(("codec", "bytes_each"), [("bfloat16", 2), ("int8", 1), ("int4", 0.5)])
def test_codecs_save_bytes_and_survive_them(codec: str, bytes_each: float) -> None:
    sent = UploadSpec(codec=codec).prepared(update(), CLIENTS, KEY)
    report = Report(1, CLIENTS, sent, False, torch.zeros(3))
    payload = encode_report(report)
    numbers = update()["weights"].numel()
    assert len(payload) < numbers * bytes_each + numbers / 128 * 2 + 1000
    back, total = decode_report(payload).total(), report.total()
    for name, value in total.arrays.items():
        assert torch.equal(back.arrays[name], value)
    assert torch.allclose(total.arrays["weights"].float(), update()["weights"].sum(0), atol=1.5)


def test_a_client_is_rounded_the_same_whoever_it_is_stacked_with() -> None:
    spec = UploadSpec(codec="int8")
    together = spec.prepared(update(), CLIENTS, KEY)["weights"]
    alone = spec.prepared({k: v[1:2] for k, v in update().items()}, CLIENTS[1:2], KEY)["weights"]
    assert isinstance(together, Quantised)
    assert torch.equal(together.levels[1:2], alone.levels)
    other = spec.prepared(update(), CLIENTS, KEY.at(5))["weights"]
    assert not torch.equal(together.levels, other.levels)


def blocks_of(spec: UploadSpec, key: Key = KEY, clients: Tensor = CLIENTS) -> list[int]:
    sent = spec.prepared({"weights": update()["weights"][: len(clients)]}, clients, key)["weights"]
    assert isinstance(sent, Quantised)
    assert sent.blocks is not None
    return [int(block) for block in sent.blocks]


def test_which_share_travels_is_public_and_new_in_each_round() -> None:
    spec = UploadSpec(codec="int8", share=0.5)
    drawn = blocks_of(spec)
    assert len(drawn) == 2  # of four blocks
    # neither who it is nor what was learnt changes it
    assert blocks_of(spec, clients=CLIENTS[1:2]) == drawn
    other = spec.prepared({"weights": update()["weights"] * 9}, CLIENTS, KEY)["weights"]
    assert isinstance(other, Quantised)
    assert other.blocks is not None
    assert other.blocks.tolist() == drawn
    rounds = [blocks_of(spec, KEY.at(number)) for number in range(60)]
    assert rounds != [blocks_of(spec, Key(4, number)) for number in range(60)]
    times = torch.tensor(rounds).flatten().bincount(minlength=4)
    # each block travels half of the time: 30 of 60, standard deviation 3.9
    assert all(10 < int(count) < 50 for count in times)


def test_what_is_left_out_is_zero_and_costs_no_bytes() -> None:
    whole = UploadSpec(codec="int8").prepared(update(), CLIENTS, KEY)
    part = UploadSpec(codec="int8", share=0.25).prepared(update(), CLIENTS, KEY)
    sizes = [
        len(encode_report(Report(1, CLIENTS, sent, False, torch.zeros(3))))
        for sent in (whole, part)
    ]
    # of the 400 numbers of each of three clients one block of 128 travels, and which it is
    assert sizes[0] - sizes[1] > 3 * (400 - 128) - 200
    report = Report(1, CLIENTS, part, False, torch.zeros(3))
    back = decode_report(encode_report(report)).total().arrays["weights"]
    assert isinstance(back, Tensor)
    assert torch.equal(back, report.total().arrays["weights"])
    assert 0 < int(back.count_nonzero()) <= 128


@pytest.mark.parametrize("codec", ["float32", "bfloat16"])
def test_a_share_needs_blocks(codec: str) -> None:
    with pytest.raises(ValueError, match=r"share = 0\.5 goes with codec = int8 or int4"):
        UploadSpec(codec=codec, share=0.5)


@pytest.mark.parametrize(("codec", "bytes_each"), [("bfloat16", 2), ("int8", 1), ("int4", 0.5)])
def test_a_holders_sum_is_rounded_once(codec: str, bytes_each: float) -> None:
    arrays = {name: value.sum(0) for name, value in update().items()}
    arrays["pairs"] = torch.arange(100)
    sums = Report(1, CLIENTS, {**arrays}, True, torch.zeros(3))
    sent = UploadSpec(codec=codec).of_sum(sums, 7, KEY)
    payload = encode_report(sent, {"pairs": 100})
    assert len(payload) < 400 * bytes_each + 100 * 2 + 1000
    back = decode_report(payload).total()
    assert back.summed
    assert torch.equal(back.arrays["count"], arrays["count"])
    assert torch.equal(back.arrays["pairs"].long(), arrays["pairs"])
    weights = back.arrays["weights"]
    assert weights.dtype == torch.float32
    bits = 8 if codec == "bfloat16" else 8 * bytes_each
    step = float(arrays["weights"].abs().max()) / (2 ** (bits - 1) - 1)
    assert float((weights - arrays["weights"]).abs().max()) <= 1.02 * step
    other = UploadSpec(codec=codec).of_sum(sums, 8, KEY).total().arrays["weights"]
    assert torch.equal(other, weights) is (codec == "bfloat16")


def test_a_holders_clients_still_clip_themselves() -> None:
    assert UploadSpec(codec="int4", clip=2.0).bounds == UploadSpec(clip=2.0)
    assert UploadSpec(codec="int4", share=0.5).bounds is None


MATRICES = {"weights": ((0, 40, 10),)}


@pytest.mark.parametrize(("codec", "bytes_each"), [("float32", 4), ("bfloat16", 2), ("int4", 0.5)])
def test_of_low_rank_a_matrix_takes_the_bytes_of_its_factors(codec: str, bytes_each: float) -> None:
    arrays = {name: value.flatten(1) for name, value in update().items()}
    sent = UploadSpec(codec=codec, rank=2).prepared({**arrays}, CLIENTS, KEY, MATRICES)
    report = Report(1, CLIENTS, sent, False, torch.zeros(3))
    payload = encode_report(report)
    assert len(payload) < 3 * 2 * (40 + 10) * bytes_each + 1000
    back = decode_report(payload).total().arrays["weights"]
    assert isinstance(back, Tensor)
    assert torch.equal(back, report.total().arrays["weights"])
    scale, step = float(arrays["weights"].abs().max()), {"float32": 0, "bfloat16": 0.02, "int4": 1}
    exact = UploadSpec(rank=2).prepared({**arrays}, CLIENTS, KEY, MATRICES)["weights"]
    assert isinstance(exact, LowRank)
    assert float((back - exact.total()).abs().max()) <= step[codec] * scale
    # a holder's sum may have any rank: it is cut to the same one
    (total,) = (value.sum(0) for name, value in arrays.items() if name == "weights")
    sums = Report(1, CLIENTS, {"weights": total}, True, torch.zeros(3))
    held = UploadSpec(codec=codec, rank=2).of_sum(sums, 7, KEY, MATRICES)
    found = decode_report(encode_report(held)).total().arrays["weights"]
    assert isinstance(found, Tensor)
    assert found.shape == total.shape
    kept = torch.linalg.svdvals(found.view(40, 10))
    assert float(kept[2]) < 1e-4 * float(kept[0])


def test_a_rank_needs_matrices_and_whole_updates() -> None:
    with pytest.raises(InputError, match=r"rank = 2: this algorithm uploads no matrices"):
        UploadSpec(rank=2).prepared(update(), CLIENTS, KEY)
    with pytest.raises(ValueError, match=r"share = 0\.5 would leave out parts of products"):
        UploadSpec(codec="int8", share=0.5, rank=2)


def test_changed_rows_are_refused() -> None:
    rows = Rows.of(update()["weights"])
    with pytest.raises(InputError, match="'items' is uploaded as changed rows"):
        UploadSpec(clip=1.0).prepared({"items": rows}, CLIENTS, KEY)


def test_whole_numbers_take_the_bits_they_need() -> None:
    counts = torch.arange(1000) % 8
    report = Report(1, CLIENTS[:1], {"near": counts.to(torch.uint8)}, True, torch.zeros(1))
    payload = encode_report(report, {"near": 7})
    assert len(payload) < 1000 * 3 / 8 + 600
    back = decode_report(payload).arrays["near"]
    assert torch.equal(back.long(), counts)


def test_sums_too_large_to_pack_travel_as_they_are() -> None:
    clients = torch.arange(10_000)
    sums = torch.tensor([0, 7 * len(clients)])
    report = Report(1, clients, {"near": sums}, True, torch.zeros(len(clients)))
    assert torch.equal(decode_report(encode_report(report, {"near": 7})).arrays["near"], sums)
