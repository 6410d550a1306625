"""What travels of an update: bounded, rounded, and the same through memory and through bytes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ufgraphfr.core.arrays.low_rank import LowRank
from ufgraphfr.core.arrays.protocol import Array
from ufgraphfr.core.arrays.quantised import Quantised
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, one_row, per_client
from ufgraphfr.federation.codec import decode_report, encode_report
from ufgraphfr.federation.upload import Matrices, UploadSpec

CLIENTS = torch.tensor([5, 2, 9])
KEY = Key(3, round=4)


def update() -> dict[str, Tensor]:
    weights = torch.randn(3, 40, 10, generator=torch.Generator().manual_seed(0))
    return {"weights": weights, "count": torch.tensor([[3.0], [1.0], [2.0]])}


def prepared(
    spec: UploadSpec,
    arrays: dict[str, Tensor],
    clients: Tensor = CLIENTS,
    key: Key = KEY,
    matrices: Matrices | None = None,
) -> dict[str, Array]:
    return spec.prepared(per_client(arrays), clients, key, matrices)


def of_clients(arrays: dict[str, Array]) -> Report:
    return Report(1, CLIENTS, arrays, Aggregation.PER_CLIENT, torch.zeros(3))


def of_sum(sums: dict[str, Tensor], clients: Tensor = CLIENTS) -> Report:
    return Report(1, clients, one_row(sums), Aggregation.SUM, torch.zeros(len(clients)))


@given(st.floats(1e-3, 1e3), st.floats(1e-4, 1e4))
def test_no_update_is_longer_than_the_clip(clip: float, size: float) -> None:
    exact = update()["weights"] * size
    sent = prepared(UploadSpec(clip=clip), {"weights": exact})["weights"].dense()
    lengths, before = sent.flatten(1).norm(dim=1), exact.flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, before.clamp(max=clip))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-6, 1.0, 300.0])
def test_no_update_of_half_precision_is_longer_than_the_clip(
    dtype: torch.dtype, size: float
) -> None:
    narrow = (update()["weights"] * size).to(dtype)
    sent = prepared(UploadSpec(clip=0.7), {"weights": narrow})["weights"].dense()
    lengths = narrow.double().flatten(1).norm(dim=1)
    expected = lengths.clamp(max=0.7).float()
    torch.testing.assert_close(sent.flatten(1).norm(dim=1), expected)


def test_short_updates_and_small_arrays_pass_as_they_are() -> None:
    sent = prepared(UploadSpec(codec="int4", clip=1e6), update())
    assert torch.equal(sent["count"].dense(), update()["count"])
    plain = prepared(UploadSpec(clip=1e6), update())
    assert torch.equal(plain["weights"].dense(), update()["weights"])


@pytest.mark.parametrize(("codec", "bytes_each"), [("bfloat16", 2), ("int8", 1), ("int4", 0.5)])
def test_codecs_save_bytes_and_survive_them(codec: str, bytes_each: float) -> None:
    sent = prepared(UploadSpec(codec=codec), update())
    report = of_clients(sent)
    payload = encode_report(report)
    numbers = update()["weights"].numel()
    assert len(payload) < numbers * bytes_each + numbers / 128 * 2 + 1000
    back, total = decode_report(payload).sums, report.sums
    for name, value in total.items():
        assert torch.equal(back[name], value)
    assert torch.allclose(total["weights"].float(), update()["weights"].sum(0), atol=1.5)


def test_a_client_is_rounded_the_same_whoever_it_is_stacked_with() -> None:
    spec = UploadSpec(codec="int8")
    together = prepared(spec, update())["weights"]
    alone = prepared(spec, {k: v[1:2] for k, v in update().items()}, CLIENTS[1:2])["weights"]
    assert isinstance(together, Quantised)
    assert isinstance(alone, Quantised)
    assert torch.equal(together.levels[1:2], alone.levels)
    other = prepared(spec, update(), key=KEY.at(5))["weights"]
    assert isinstance(other, Quantised)
    assert not torch.equal(together.levels, other.levels)


def blocks_of(spec: UploadSpec, key: Key = KEY, clients: Tensor = CLIENTS) -> list[int]:
    sent = prepared(spec, {"weights": update()["weights"][: len(clients)]}, clients, key)["weights"]
    assert isinstance(sent, Quantised)
    assert sent.blocks is not None
    return [int(block) for block in sent.blocks]


def test_which_share_travels_is_public_and_new_in_each_round() -> None:
    spec = UploadSpec(codec="int8", share=0.5)
    drawn = blocks_of(spec)
    assert len(drawn) == 2  # of four blocks
    # neither who it is nor what was learnt changes it
    assert blocks_of(spec, clients=CLIENTS[1:2]) == drawn
    other = prepared(spec, {"weights": update()["weights"] * 9})["weights"]
    assert isinstance(other, Quantised)
    assert other.blocks is not None
    assert other.blocks.tolist() == drawn
    rounds = [blocks_of(spec, KEY.at(number)) for number in range(60)]
    assert rounds != [blocks_of(spec, Key(4, number)) for number in range(60)]
    times = torch.tensor(rounds).flatten().bincount(minlength=4)
    # each block travels half of the time: 30 of 60, standard deviation 3.9
    assert all(10 < int(count) < 50 for count in times)


def test_what_is_left_out_is_zero_and_costs_no_bytes() -> None:
    whole = prepared(UploadSpec(codec="int8"), update())
    part = prepared(UploadSpec(codec="int8", share=0.25), update())
    sizes = [len(encode_report(of_clients(sent))) for sent in (whole, part)]
    # of the 400 numbers of each of three clients one block of 128 travels, and which it is
    assert sizes[0] - sizes[1] > 3 * (400 - 128) - 200
    report = of_clients(part)
    back = decode_report(encode_report(report)).sums["weights"]
    assert torch.equal(back, report.sums["weights"])
    assert 0 < int(back.count_nonzero()) <= 128


@pytest.mark.parametrize("codec", ["float32", "bfloat16"])
def test_a_share_needs_blocks(codec: str) -> None:
    with pytest.raises(ValueError, match=r"share = 0\.5 goes with codec = int8 or int4"):
        UploadSpec(codec=codec, share=0.5)


@pytest.mark.parametrize(("codec", "bytes_each"), [("bfloat16", 2), ("int8", 1), ("int4", 0.5)])
def test_a_holders_sum_is_rounded_once(codec: str, bytes_each: float) -> None:
    arrays = {name: value.sum(0) for name, value in update().items()}
    arrays["pairs"] = torch.arange(100)
    sums = of_sum(arrays)
    sent = UploadSpec(codec=codec).of_sum(sums, 7, KEY)
    payload = encode_report(sent, {"pairs": 100})
    assert len(payload) < 400 * bytes_each + 100 * 2 + 1000
    report = decode_report(payload)
    assert report.aggregation is Aggregation.SUM
    back = report.sums
    assert torch.equal(back["count"], arrays["count"])
    assert torch.equal(back["pairs"].long(), arrays["pairs"])
    weights = back["weights"]
    assert weights.dtype == torch.float32
    bits = 8 if codec == "bfloat16" else 8 * bytes_each
    step = float(arrays["weights"].abs().max()) / (2 ** (bits - 1) - 1)
    assert float((weights - arrays["weights"]).abs().max()) <= 1.02 * step
    other = UploadSpec(codec=codec).of_sum(sums, 8, KEY).sums["weights"]
    assert torch.equal(other, weights) is (codec == "bfloat16")


def test_a_holders_clients_still_clip_themselves() -> None:
    assert UploadSpec(codec="int4", clip=2.0).bounds == UploadSpec(clip=2.0)
    assert UploadSpec(codec="int4", share=0.5).bounds is None


MATRICES = {"weights": ((0, 40, 10),)}


@pytest.mark.parametrize(("codec", "bytes_each"), [("float32", 4), ("bfloat16", 2), ("int4", 0.5)])
def test_of_low_rank_a_matrix_takes_the_bytes_of_its_factors(codec: str, bytes_each: float) -> None:
    arrays = {name: value.flatten(1) for name, value in update().items()}
    sent = prepared(UploadSpec(codec=codec, rank=2), arrays, matrices=MATRICES)
    report = of_clients(sent)
    payload = encode_report(report)
    assert len(payload) < 3 * 2 * (40 + 10) * bytes_each + 1000
    back = decode_report(payload).sums["weights"]
    assert torch.equal(back, report.sums["weights"])
    scale, step = float(arrays["weights"].abs().max()), {"float32": 0, "bfloat16": 0.02, "int4": 1}
    exact = prepared(UploadSpec(rank=2), arrays, matrices=MATRICES)["weights"]
    assert isinstance(exact, LowRank)
    assert float((back - exact.total()).abs().max()) <= step[codec] * scale
    # a holder's sum may have any rank: it is cut to the same one
    (total,) = (value.sum(0) for name, value in arrays.items() if name == "weights")
    held = UploadSpec(codec=codec, rank=2).of_sum(of_sum({"weights": total}), 7, KEY, MATRICES)
    found = decode_report(encode_report(held)).sums["weights"]
    assert found.shape == total.shape
    kept = torch.linalg.svdvals(found.view(40, 10))
    assert float(kept[2]) < 1e-4 * float(kept[0])


def test_a_rank_needs_matrices_and_whole_updates() -> None:
    with pytest.raises(InputError, match=r"rank = 2: this algorithm uploads no matrices"):
        prepared(UploadSpec(rank=2), update())
    with pytest.raises(ValueError, match=r"share = 0\.5 would leave out parts of products"):
        UploadSpec(codec="int8", share=0.5, rank=2)


def test_changed_rows_are_refused() -> None:
    rows = Rows.of(update()["weights"])
    with pytest.raises(InputError, match="'items' is uploaded as changed rows"):
        UploadSpec(clip=1.0).prepared({"items": rows}, CLIENTS, KEY)


def test_whole_numbers_take_the_bits_they_need() -> None:
    counts = torch.arange(1000) % 8
    report = of_sum({"near": counts.to(torch.uint8)}, CLIENTS[:1])
    payload = encode_report(report, {"near": 7})
    assert len(payload) < 1000 * 3 / 8 + 600
    back = decode_report(payload).sums["near"]
    assert torch.equal(back.long(), counts)


def test_sums_too_large_to_pack_travel_as_they_are() -> None:
    clients = torch.arange(10_000)
    sums = torch.tensor([0, 7 * len(clients)])
    payload = encode_report(of_sum({"near": sums}, clients), {"near": 7})
    assert torch.equal(decode_report(payload).sums["near"], sums)
