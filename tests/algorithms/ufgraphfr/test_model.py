"""What the server of UFGraphFR sends and adds up, and which of its parts can be left out."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphfr import UFGraphFR
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.messages import Aggregation, Report, per_client
from ufgraphfr.core.spec import parse

ITEMS, DIM, CLIENTS = 7, 8, 5
SETTING = Setting(ITEMS, CLIENTS, text_width=3, seed=0)


def made(**values: object) -> UFGraphFR:
    return parse(UFGraphFR, {"dim": DIM, "neighbors": 2} | values, "[algorithm]")


def changes() -> Tensor:
    """Float ``[clients, items, dim]``: item 0 is touched by all, 1 by one, the last by nobody."""
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(CLIENTS, ITEMS, DIM, generator=generator)
    kept = torch.rand(CLIENTS, ITEMS, 1, generator=generator) < 0.5
    kept[:, 0], kept[:, 1], kept[2, 1], kept[:, -1] = True, False, True, False
    return dense * kept


def answers(dense: Tensor, number: int = 1) -> Report:
    generator = torch.Generator().manual_seed(number)
    steps = torch.randn(CLIENTS, DIM, generator=generator)
    texts = torch.randn(CLIENTS, 3, generator=generator)
    arrays = {"items": Rows.of(dense), "joint.step": steps, "joint.text": texts}
    loss = torch.zeros(CLIENTS)
    own = per_client(arrays)
    return Report(number, torch.arange(CLIENTS), own, Aggregation.PER_CLIENT, loss)


@pytest.mark.parametrize("average", ["touched", "cohort"])
def test_an_item_moves_by_the_mean_change_of_those_who_count(average: str) -> None:
    algorithm, dense = made(average=average), changes()
    state = algorithm.init_server(SETTING)
    moved = algorithm.aggregate(state, answers(dense))["items"] - state["items"]
    for item in range(ITEMS):
        touching = [change for change in dense[:, item] if bool(change.any())]
        count = CLIENTS if average == "cohort" else max(1, len(touching))
        expected = sum(touching, torch.zeros(DIM)) / count
        torch.testing.assert_close(moved[item], expected, atol=1e-6, rtol=1e-5)


def test_the_message_weighs_the_neighbors_changes() -> None:
    started = {}
    for message in (0.0, 0.5, 1.0):
        algorithm = made(message=message)
        state = algorithm.aggregate(algorithm.init_server(SETTING), answers(changes()))
        task = algorithm.broadcast(state, torch.arange(CLIENTS), 2)
        started[message] = task.tables("items").dense() - state["items"]
    assert not bool(started[0.0].any())
    near, weight = state["graph.index"], state["graph.weight"]
    expected = (changes()[near] * weight[..., None, None]).sum(1)
    torch.testing.assert_close(started[1.0], expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(started[0.5], expected / 2, atol=1e-6, rtol=1e-5)


def test_without_text_profiles_change_nothing(checkerboard, federation_of) -> None:
    other = replace(checkerboard, text=checkerboard.text.roll(1, dims=0))
    for text in (True, False):
        runs = [federation_of(made(text=text), batch).run(2) for batch in (checkerboard, other)]
        assert torch.equal(runs[0].scores(), runs[1].scores()) is not text


def test_the_product_alone_trains_no_mlp(checkerboard, federation_of) -> None:
    federation = federation_of(made(scoring="product"), checkerboard).run(1)
    assert not [name for name in federation.store.weights if name.startswith("score")]
    assert bool(federation.scores().isfinite().all())


def test_as_coded_presets_what_is_not_given() -> None:
    preset = made(as_coded=True)
    assert (preset.scoring, preset.average, preset.row_scale) == ("mlp", "cohort", 80.0)
    assert made(as_coded=True, average="touched").average == "touched"


def test_a_negative_message_is_refused() -> None:
    with pytest.raises(InputError, match="message"):
        made(message=-1)
