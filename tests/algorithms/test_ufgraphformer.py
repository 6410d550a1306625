"""The flagship's parts: the graph, the gradient the cohort sends, the blend."""

import pytest
import torch
import torch.nn.functional as F

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import combine
from ufgraphfr.data.shards import Shard
from ufgraphfr.federation.client import respond
from ufgraphfr.ops.blend import standardised
from ufgraphfr.privacy.none import NoMechanism
from ufgraphfr.references.ease import Ease
from ufgraphfr.references.markov import Markov

SMALL = {"dim": 8, "hidden": 8, "history": 5}


def setting_of(shard: Shard) -> Setting:
    return Setting(shard.catalogue, len(shard), shard.text.shape[1], 0)


def answers(model: UFGraphFormer, shard: Shard, round_number: int, chunk: int):
    state = model.init_server(setting_of(shard))
    reports = []
    for clients in shard.clients.split(chunk):
        task = model.broadcast(state, clients, round_number)
        key = Key(0, round=round_number)
        reports.append(respond(model, NoMechanism(), task, shard.select(clients), {}, key)[0])
    return state, combine(reports)


def test_the_graph_is_the_sum_of_contributions(checkerboard: Shard) -> None:
    model = UFGraphFormer(**SMALL)
    state, report = answers(model, checkerboard, 1, chunk=5)
    state = model.aggregate(state, report)
    for name, reference in (("graph.ridge", Ease()), ("graph.next", Markov())):
        fitted = reference.fit(checkerboard)["operator"]
        torch.testing.assert_close(state[name], fitted)


def test_contributions_are_whole_and_narrow(checkerboard: Shard) -> None:
    one = UFGraphFormer(**SMALL).graph.contribution(checkerboard.select(torch.tensor([0])))
    assert {value.dtype for value in one.values()} == {torch.uint8}
    assert set(one["graph.transitions"].unique().tolist()) == {0, 12, 15, 20, 30, 60}
    all_of_them = UFGraphFormer(**SMALL).graph.contribution(checkerboard)
    assert all_of_them["graph.transitions"].dtype == torch.int16


@pytest.mark.parametrize("weighting", ["positions", "clients"])
def test_the_cohort_sends_the_gradient_of_its_mean_loss(
    checkerboard: Shard, weighting: str
) -> None:
    model = UFGraphFormer(**SMALL, dropout=0.0, window="recent", weighting=weighting, graph=False)
    # histories of different lengths, so that the two ways of counting differ
    ends = checkerboard.ptr[1:] - torch.arange(len(checkerboard)) % 9
    keep = torch.cat(
        [torch.arange(int(a), int(b)) for a, b in zip(checkerboard.ptr[:-1], ends, strict=True)]
    )
    counts = ends - checkerboard.ptr[:-1]
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    shard = checkerboard.with_history(ptr, checkerboard.items[keep])
    state, report = answers(model, shard, 2, chunk=7)
    net = state["net"].clone().requires_grad_()
    network = model.network(shard.catalogue, shard.text.shape[1])
    losses = []
    for place in range(len(shard)):
        own = shard.items[ptr[place] : ptr[place + 1]][-(model.history + 1) :]
        states = network.states(network.unpack(net), own[:-1], shard.text[place])
        scores = network.logits(network.unpack(net), states)
        losses.append(F.cross_entropy(scores, own, reduction="none"))
    every = (
        torch.cat(losses)
        if weighting == "positions"
        else torch.stack([loss.mean() for loss in losses])
    )
    (expected,) = torch.autograd.grad(every.mean(), net)
    mean = report.arrays["gradient"] / report.arrays["count"]
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(report.loss, torch.stack([loss.mean() for loss in losses]).detach())


def test_random_windows_reach_the_whole_history(checkerboard: Shard) -> None:
    model = UFGraphFormer(**SMALL)
    seen = [set() for _ in range(len(checkerboard))]
    for round_number in range(1, 200):
        for user, items in enumerate(model._window(checkerboard, Key(0, round=round_number))):
            seen[user] |= set(items.tolist())
    for user in range(len(checkerboard)):
        bounds = slice(int(checkerboard.ptr[user]), int(checkerboard.ptr[user + 1]))
        assert seen[user] == set(checkerboard.items[bounds].tolist())


def test_scores_are_the_blend_of_standardised_parts(checkerboard: Shard, federation_of) -> None:
    model = UFGraphFormer(**SMALL)
    federation = federation_of(model, checkerboard).run(2)
    federation.state["blend"] = torch.tensor([0.25, 0.0, 0.0, 1.0])
    task = model.evaluated(federation.state, checkerboard.clients, 3)
    parts = model.parts(task, checkerboard, {})
    assert parts.shape == (4, len(checkerboard), checkerboard.catalogue)
    ridge = Ease().score({"operator": federation.state["graph.ridge"]}, checkerboard)
    torch.testing.assert_close(parts[0], standardised(ridge))
    scores = model.score(task, checkerboard, {})
    torch.testing.assert_close(scores, 0.25 * parts[0] + parts[3])


@pytest.mark.parametrize(
    ("switches", "parts"),
    [
        ({}, 4),
        ({"graph": False}, 1),
        ({"head": False}, 3),
        ({"transformer": False}, 3),
        ({"text": False}, 4),
    ],
)
def test_every_part_has_a_switch(
    checkerboard: Shard, federation_of, switches: dict[str, bool], parts: int
) -> None:
    model = UFGraphFormer(**SMALL, **switches)
    federation = federation_of(model, checkerboard).run(3)
    assert model.blends().shape[1] == parts
    assert federation.state["blend"].tolist() == [1.0] * parts
    assert federation.scores().isfinite().all()
    if not switches.get("text", True):
        assert (
            federation.state["net"].numel()
            < UFGraphFormer(**SMALL)
            .network(checkerboard.catalogue, checkerboard.text.shape[1])
            .size
        )


def test_nothing_left_is_refused() -> None:
    with pytest.raises(InputError, match="leave nothing"):
        ALGORITHMS.build("ufgraphformer", {"graph": False, "transformer": False}, "[algorithm]")


def test_a_catalogue_too_large_for_the_graph_is_refused() -> None:
    model, large = UFGraphFormer(**SMALL), Setting(30_001, 5, 4, 0)
    with pytest.raises(InputError, match=r"30,001 items.*graph = false"):
        model.init_server(large)
    assert UFGraphFormer(**SMALL, graph=False).init_server(large)["net"].isfinite().all()
