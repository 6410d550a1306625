"""The flagship's parts: the graph, the gradient the cohort sends, the blend."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import LEVELS, SHRINK, GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.baselines.ease import Ease
from ufgraphfr.core.arrays.sparse_rows import owners
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, combine, one_row
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.ops.fusion import Squash, squashed
from ufgraphfr.ops.item_graph import co_interactions, normalised, ridge_inverse, successions
from ufgraphfr.privacy.none import NoMechanism

SMALL = {"dim": 8, "hidden": 8, "history": 5}


def setting_of(batch: ClientBatch) -> Setting:
    return Setting(batch.n_items, len(batch), batch.text.shape[1], 0)


def answers(model: UFGraphFormer, batch: ClientBatch, round_number: int, chunk: int):
    state = model.init_server(setting_of(batch))
    reports = []
    for clients in batch.clients.split(chunk):
        task = model.broadcast(state, clients, round_number)
        task = replace(task, aggregation=Aggregation.SUM)
        request = Request(task, batch.select(clients), {}, Key(0, round=round_number))
        reports.append(Client(model, NoMechanism()).respond(request)[0])
    return state, combine(reports)


def with_graph(model: UFGraphFormer, batch: ClientBatch, chunk: int = 5):
    state = model.init_server(setting_of(batch))
    for round_number in range(1, model.graph.rounds + 1):
        _, report = answers(model, batch, round_number, chunk)
        state = model.aggregate(state, report)
    return state


def of_graph(model: UFGraphFormer, shared, batch: ClientBatch):
    return torch.stack([scorer() for scorer in model.item_graph.scores(shared, batch)])


@pytest.mark.parametrize("rounds", [1, 3, 30])
def test_the_graph_is_the_sum_of_contributions(checkerboard: ClientBatch, rounds: int) -> None:
    model = UFGraphFormer(**SMALL, graph={"rounds": rounds})
    state = with_graph(model, checkerboard)
    own = (checkerboard.ptr, checkerboard.items, checkerboard.n_items)
    counts, has = checkerboard.counts, torch.bincount(checkerboard.items, minlength=own[2]).float()
    whole = (7 * (counts.clamp(min=5) / 5) ** -0.5).round()
    pairs = co_interactions(*own, weights=whole)
    pairs *= has.sum() / pairs.diagonal().sum()
    after = successions(*own, model.graph.weights) / LEVELS
    torch.testing.assert_close(state["graph.counts"], has)
    torch.testing.assert_close(
        state["graph.inverse"], ridge_inverse(pairs, model.graph.ridge).float()
    )
    torch.testing.assert_close(
        state["graph.cooccurrence"], normalised(after + after.T, has, SHRINK)
    )
    torch.testing.assert_close(state["graph.next"], normalised(after, has, SHRINK))
    step = successions(*own, torch.ones(1))
    torch.testing.assert_close(state["graph.step"], step / (has + 1)[:, None])
    lately = torch.zeros(checkerboard.n_items)
    for history in checkerboard.items.split(checkerboard.counts.tolist()):
        for age, item in enumerate(reversed(history.tolist())):
            lately[item] += round(7 * 0.8**age) / 7
    torch.testing.assert_close(state["graph.lately"], lately)
    scores = of_graph(model, model.item_graph.shared(state), checkerboard)
    recent = scores[model.part_names(setting_of(checkerboard)).index("recent popularity")]
    torch.testing.assert_close(recent, (lately + 1).log().expand(len(checkerboard), -1))


def test_the_parts_of_a_contribution_are_of_like_size() -> None:
    blocks = [Block(GraphSpec(rounds=8), 1682, number) for number in range(1, 9)]
    assert sorted(row for block in blocks for row in block.rows) == list(range(1682))
    # in bits: three a pair, three and one a succession
    sizes = [sum(3 * (1682 - row) + 4 * 1682 for row in block.rows) for block in blocks]
    assert max(sizes) < 1.01 * min(sizes)


def test_the_ridge_part_is_ease(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL, graph={"user_power": 0})
    state = with_graph(model, checkerboard)
    names = model.item_graph.names(setting_of(checkerboard))
    scores = of_graph(model, state, checkerboard)
    for decay in (1.0, 0.8):
        ease = Ease(ridge=model.graph.ridge, decay=decay)
        ridge = scores[names.index(f"ridge {decay:g}")]
        torch.testing.assert_close(ridge, ease.score(ease.fit(checkerboard), checkerboard))


def test_contributions_are_whole_and_narrow(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL, graph={"rounds": 1})
    block = Block(model.graph, checkerboard.n_items, 1)
    few = checkerboard.select(torch.tensor([0]))
    few = few.with_history(torch.tensor([0, 5]), few.items[:5])
    one = block.contribution(few, ordered=True)
    assert {value.dtype for value in one.values()} == {torch.uint8}
    for name, value in one.items():
        assert int(value.max()) == model.integer_bounds[name]
    many = checkerboard.select(torch.arange(24).repeat(2))
    assert block.contribution(many, ordered=True)["graph.next"].dtype == torch.int16
    assert block.contribution(many, ordered=False).keys() == {"graph.pairs", "graph.counts"}


def test_the_transformer_starts_from_the_graph(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL)
    state = with_graph(model, checkerboard)
    network = model.sequence.network(checkerboard.n_items, checkerboard.text.shape[1], 0)
    vectors = network.unpack(state["net"])["item.weight"]
    # on the checkerboard an item is near to items of its own color alone
    products = vectors @ vectors.T
    same = (torch.arange(24)[:, None] + torch.arange(24)) % 2 == 0
    assert products[same].mean() > 0.2 * products.diagonal().mean()
    assert products[~same].abs().mean() < 0.1 * products[same].mean()
    plain = with_graph(UFGraphFormer(**SMALL, spectral=False), checkerboard)
    assert torch.equal(plain["net"], model.init_server(setting_of(checkerboard))["net"])


@pytest.mark.parametrize("weighting", ["positions", "clients"])
def test_the_cohort_sends_the_gradient_of_its_mean_loss(
    checkerboard: ClientBatch, weighting: str
) -> None:
    training = {"dropout": 0.0, "window": "recent", "weighting": weighting}
    model = UFGraphFormer(**SMALL, training=training, graph=False)
    # histories of different lengths, so that the two ways of counting differ
    ends = checkerboard.ptr[1:] - torch.arange(len(checkerboard)) % 9
    keep = torch.cat(
        [torch.arange(int(a), int(b)) for a, b in zip(checkerboard.ptr[:-1], ends, strict=True)]
    )
    counts = ends - checkerboard.ptr[:-1]
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), counts.cumsum(0)))
    batch = checkerboard.with_history(ptr, checkerboard.items[keep])
    state, report = answers(model, batch, 2, chunk=7)
    net = state["net"].clone().requires_grad_()
    network = model.sequence.network(batch.n_items, batch.text.shape[1], 0)
    losses = []
    for place in range(len(batch)):
        own = batch.items[ptr[place] : ptr[place + 1]][-(model.history + 1) :]
        states = network.states(network.unpack(net), own[:-1], batch.text[place])
        scores = network.logits(network.unpack(net), states)
        losses.append(F.cross_entropy(scores, own, reduction="none"))
    every = (
        torch.cat(losses)
        if weighting == "positions"
        else torch.stack([loss.mean() for loss in losses])
    )
    (expected,) = torch.autograd.grad(every.mean(), net)
    mean = report.sums["gradient"] / report.sums["count"]
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(report.loss, torch.stack([loss.mean() for loss in losses]).detach())


def test_random_windows_reach_the_whole_history(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL)
    seen = [set() for _ in range(len(checkerboard))]
    for round_number in range(1, 200):
        key = Key(0, round=round_number)
        windows = model.training.window_of(checkerboard, key, model.history)
        for user, items in enumerate(windows):
            seen[user] |= set(items.tolist())
    for user in range(len(checkerboard)):
        bounds = slice(int(checkerboard.ptr[user]), int(checkerboard.ptr[user + 1]))
        assert seen[user] == set(checkerboard.items[bounds].tolist())


@pytest.mark.parametrize("squash", ["log", "root"])
def test_scores_are_the_blend_of_squashed_parts(
    checkerboard: ClientBatch, federation_of, squash: Squash
) -> None:
    model = UFGraphFormer(**SMALL, graph={"rounds": 1}, cold_users=False, squash=squash)
    federation = federation_of(model, checkerboard).run(2)
    names = model.part_names(setting_of(checkerboard))
    blend = torch.zeros(len(names))
    blend[names.index("next 0.3")], blend[names.index("transformer")] = -0.25, 1.0
    task = model.scoring_task(federation.state | {"blend": blend}, checkerboard.clients, 3)
    parts = model.parts(task, checkerboard, {})
    assert parts.shape == (len(names), len(checkerboard), checkerboard.n_items)
    scores = of_graph(model, federation.state, checkerboard)
    torch.testing.assert_close(parts[: len(scores)], squashed(scores, squash=squash))
    expected = torch.einsum("p,pci->ci", blend, parts)
    torch.testing.assert_close(model.score(task, checkerboard, {}), expected)


@pytest.mark.parametrize("weighting", ["positions", "clients"])
@pytest.mark.parametrize(("local_steps", "candidates"), [(1, None), (3, None), (1, 9)])
def test_updates_of_single_clients_sum_to_the_summed_update(
    checkerboard: ClientBatch, local_steps: int, candidates: int | None, weighting: str
) -> None:
    training = {"local_steps": local_steps, "candidates": candidates, "weighting": weighting}
    model = UFGraphFormer(**SMALL, graph={"rounds": 1}, training=training)
    state = with_graph(model, checkerboard)
    task = model.broadcast(state, checkerboard.clients, 2)
    key = Key(0, round=2)
    summing = replace(task, aggregation=Aggregation.SUM)
    together, _ = model.local(summing, checkerboard, {}, key)
    single, _ = model.local(task, checkerboard, {}, key)
    assert together.summed == (local_steps == 1)
    assert not single.summed
    expected = {name: value.sum(0) for name, value in single.arrays.items()}
    sums = together.arrays if together.summed else expected
    for name, value in sums.items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-3)


def test_local_steps_descend_on_weights_of_the_device(checkerboard: ClientBatch) -> None:
    """One client by hand: three steps of scaled descent on its whole history."""
    training = {"local_steps": 3, "local_lr": 0.01, "dropout": 0.0, "window": "recent"}
    model = UFGraphFormer(**SMALL, graph=False, training=training)
    batch = checkerboard.select(torch.tensor([4]))
    state = model.init_server(setting_of(batch))
    first, _ = model.local(model.broadcast(state, batch.clients, 1), batch, {}, Key(0, round=1))
    sums = {name: value.sum(0) for name, value in first.arrays.items()}
    report = Report(1, batch.clients, one_row(sums), Aggregation.SUM, first.loss)
    state = model.aggregate(state, report)
    scale = 1 / (state["net.second"].div(1 - 0.98).sqrt() + 1e-8)
    update, _ = model.local(model.broadcast(state, batch.clients, 2), batch, {}, Key(0, round=2))
    network = model.sequence.network(batch.n_items, batch.text.shape[1], 0)
    own = batch.items[-(model.history + 1) :]
    weights, gradients = state["net"].clone().requires_grad_(), []
    for _ in range(3):
        params = network.unpack(weights)
        states = network.states(params, own[:-1], batch.text[0])
        loss = F.cross_entropy(network.logits(params, states), own)
        gradients.append(torch.autograd.grad(loss, weights)[0])
        moved = 0.01 * (scale * gradients[-1]).clamp(-5, 5)
        weights = (weights - moved).detach().requires_grad_()
    assert float((gradients[0] - gradients[2]).norm()) > 0.1 * float(gradients[0].norm())
    sent = update.arrays["gradient"][0] / update.arrays["count"][0]
    torch.testing.assert_close(sent, torch.stack(gradients).mean(0), atol=1e-4, rtol=1e-2)


@pytest.mark.parametrize(
    ("switches", "parts"),
    [
        ({}, 16),
        ({"graph": False}, 1),
        ({"head": False}, 15),
        ({"transformer": False}, 15),
        ({"text": False}, 15),
        ({"profile": False}, 15),
        ({"cold_users": False}, 15),
    ],
)
def test_every_part_has_a_switch(
    checkerboard: ClientBatch, federation_of, switches: dict[str, bool], parts: int
) -> None:
    model = UFGraphFormer(**SMALL, **{"graph": {"rounds": 1}} | switches)
    federation = federation_of(model, checkerboard).run(3)
    fixed = model.fixed_blends(setting_of(checkerboard))
    assert fixed.shape[1] == parts
    assert federation.state["blend"].tolist() == fixed[0].tolist()
    named = len(model.part_names(setting_of(checkerboard)))
    assert parts == named + model.priors.shape[1]
    assert federation.scores().isfinite().all()
    if not switches.get("text", True):
        assert (
            federation.state["net"].numel()
            < UFGraphFormer(**SMALL)
            .sequence.network(checkerboard.n_items, checkerboard.text.shape[1], 0)
            .size
        )


def test_validation_may_take_the_graph_or_the_transformer_alone() -> None:
    setting, model = Setting(24, 24, 8, 0), UFGraphFormer()
    names, mixes = model.part_names(setting), model.fixed_blends(setting)
    assert names[-3:] == ("features", "transformer", "profile")
    assert mixes[:, -1].tolist() == [4.0] * 3
    assert mixes[0, :-1].tolist() == [1.0] * len(names)
    assert mixes[1, :-1].tolist() == [1.0] * (len(names) - 3) + [0.0] * 3
    assert mixes[2, :-1].tolist() == [0.0] * (len(names) - 2) + [1.0, 0.0]
    assert len(UFGraphFormer(transformer=False).fixed_blends(setting)) == 1


def test_nothing_left_is_refused() -> None:
    with pytest.raises(InputError, match="leave nothing"):
        ALGORITHMS.build("ufgraphformer", {"graph": False, "transformer": False}, "[algorithm]")


def test_the_low_pass_operator_is_a_projection(checkerboard: ClientBatch) -> None:
    """All directions kept and nothing discounted, a history is given back as it was."""
    model = UFGraphFormer(**SMALL, graph={"rank": 24, "power": 0.0})
    names = model.item_graph.names(setting_of(checkerboard))
    scores = of_graph(model, with_graph(model, checkerboard), checkerboard)
    smooth = scores[names.index("low-pass")]
    history = torch.zeros(len(checkerboard), checkerboard.n_items)
    history[owners(checkerboard.ptr, len(checkerboard.items)), checkerboard.items] = 1.0
    torch.testing.assert_close(smooth, history, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("parts", [{"graph": {"rounds": 1}}, {"graph": False}])
@pytest.mark.parametrize("local_steps", [1, 2])
def test_with_all_items_as_candidates_nothing_changes(
    checkerboard: ClientBatch, parts: dict[str, object], local_steps: int
) -> None:
    sent = []
    for candidates in (None, checkerboard.n_items):
        training = {"local_steps": local_steps, "candidates": candidates}
        model = UFGraphFormer(**SMALL, **parts, training=training)
        state = model.init_server(setting_of(checkerboard))
        state = with_graph(model, checkerboard) if model.graph else state
        task = model.broadcast(state, checkerboard.clients, 2)
        update, _ = model.local(task, checkerboard, {}, Key(0, round=2))
        sent.append(update.arrays["gradient"])
    torch.testing.assert_close(sent[0], sent[1], atol=1e-4, rtol=1e-3)


def test_a_training_message_carries_no_operators(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL, graph={"rounds": 1})
    state = with_graph(model, checkerboard)
    trained = model.broadcast(state, checkerboard.clients, 2).shared
    served = model.scoring_task(state, checkerboard.clients, 2).shared
    operators = {"graph.cooccurrence", "graph.next", "graph.inverse", "graph.low_pass"}
    assert operators <= set(served)
    assert not operators & set(trained)


def test_candidates_are_public_and_new_each_round() -> None:
    training = UFGraphFormer(training={"candidates": 6}).training
    one = training.sample(24, Key(0, round=3))
    assert len(one.unique()) == 6
    assert torch.equal(one, training.sample(24, Key(0, round=3)))
    assert not torch.equal(one, training.sample(24, Key(0, round=4)))


def test_sampled_training_still_learns_the_board(checkerboard: ClientBatch, federation_of) -> None:
    model = UFGraphFormer(
        **SMALL, graph=False, training={"candidates": 8}, adam={"lr": 0.01, "average": 0.0}
    )
    federation = federation_of(model, checkerboard).run(40)
    own = torch.arange(24)
    same = (own[:, None] + own) % 2 == 0
    scores = federation.scores()
    # in standard deviations again
    scores = scores.abs().expm1().copysign(scores)
    assert scores[same].mean() > scores[~same].mean() + 1


def test_weights_of_another_network_are_refused_by_name(checkerboard: ClientBatch) -> None:
    model = UFGraphFormer(**SMALL, graph={"rounds": 1})
    state = with_graph(model, checkerboard)
    size = len(state["net"])
    older = state | {name: state[name][1:] for name in ("net", "net.mean")}
    with pytest.raises(InputError, match=rf"{size - 1:,} weights and not {size:,}"):
        model.score(model.scoring_task(older, checkerboard.clients, 2), checkerboard, {})
    task = model.broadcast(older, checkerboard.clients, 2)
    with pytest.raises(InputError, match="another version"):
        model.local(task, checkerboard, {}, Key(0, round=2))
