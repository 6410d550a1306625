"""The flagship under a budget: what it sends is bounded, and what it affords follows from it."""

import math
from dataclasses import replace

import pytest
import torch
from made_batches import made_batch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.private import model
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import Plan, plan_for
from ufgraphfr.algorithms.ufgraphformer.private.transitions import (
    beyond_chance,
    transitions_of,
)
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Task
from ufgraphfr.core.releases import Budget

COUNTS, ITEMS = [26, 17, 9, 9, 3, 1, 0], 30
BATCH = made_batch(COUNTS, ITEMS)
GRAPH = PrivateForm(
    spec=PrivateSpec(history=10, linked=10),
    plan=Plan(graph_items=12, graph_share=0.5, graph_weight=0.2),
)
SETTING = Setting(ITEMS, len(COUNTS), 5, 0, torch.nn.functional.normalize(torch.rand(ITEMS, 4)))


def sent(form: PrivateForm, shared: dict[str, torch.Tensor]) -> Rows | torch.Tensor:
    update, private = form.local(Task(1, BATCH.clients, shared, {}), BATCH, {}, Key(0))
    assert private == {}
    assert not update.summed
    assert not update.loss.any()
    (value,) = update.arrays.values()
    return value


def lengths(value: Rows | torch.Tensor) -> torch.Tensor:
    dense = value.dense() if isinstance(value, Rows) else value
    return dense.flatten(1).norm(dim=1)


def test_popularity_is_the_last_items_of_each_client() -> None:
    value = sent(GRAPH, {})
    assert isinstance(value, Rows)
    expected = torch.zeros(len(COUNTS), ITEMS)
    for client, count in enumerate(COUNTS):
        last = BATCH.items[BATCH.ptr[client] : BATCH.ptr[client + 1]][-10:]
        expected[client, last] = math.sqrt(40 / min(10, count)) if count else 0
    torch.testing.assert_close(value.dense()[..., 0], expected)
    # as long as the noise is made for, whatever a client has
    torch.testing.assert_close(lengths(value)[:-1], torch.full((6,), math.sqrt(40)))
    assert GRAPH.releases(1)[0].norm == math.sqrt(40)


def test_a_clients_transitions_have_length_one_or_are_nothing() -> None:
    kept = torch.arange(0, ITEMS, 2)[:12]
    damping = torch.linspace(1, 3, 12)
    value = sent(GRAPH, {"kept": kept, "damping": damping})
    assert isinstance(value, Rows)
    assert value.height == 144
    found = lengths(value)
    assert bool(((found - 1).abs().lt(1e-6) | (found == 0)).all())
    assert float(found[0]) == pytest.approx(1)
    assert found[-2:].tolist() == [0, 0]
    # the first client's, by hand
    own = BATCH.items[: COUNTS[0]][-10:].tolist()
    expected = torch.zeros(12, 12)
    place = {int(item): number for number, item in enumerate(kept)}
    for i, before in enumerate(own):
        for gap, after in enumerate(own[i + 1 : i + 9], start=1):
            if before in place and after in place:
                both = damping[place[before]] * damping[place[after]]
                expected[place[before], place[after]] = both * gap**-0.5
    torch.testing.assert_close(value.dense()[0].view(12, 12), expected / expected.norm())


@pytest.mark.parametrize("kept", [None, torch.arange(12)])
def test_together_they_send_what_each_sends_alone(kept: torch.Tensor | None) -> None:
    shared = {} if kept is None else {"kept": kept, "damping": torch.ones(len(kept))}
    together = sent(GRAPH, shared)
    assert isinstance(together, Rows)
    for client in range(len(COUNTS)):
        one = BATCH.select(torch.tensor([client]))
        update, _ = GRAPH.local(Task(1, one.clients, shared, {}), one, {}, Key(0))
        (alone,) = update.arrays.values()
        assert isinstance(alone, Rows)
        torch.testing.assert_close(alone.dense()[0], together.dense()[client])


def test_a_few_numbers_are_the_mean_of_public_features() -> None:
    form = UFGraphFormer().for_budget(Budget(100, 30.0, most=3), SETTING)
    assert isinstance(form, PrivateForm)
    assert [release.part for release in form.releases(1)] == ["preference"]
    basis = torch.nn.functional.normalize(torch.randn(ITEMS, 3))
    value = sent(form, {"basis": basis})
    assert isinstance(value, torch.Tensor)
    torch.testing.assert_close(value[0], basis[BATCH.items[: COUNTS[0]]].mean(0))
    assert float(lengths(value).max()) <= 1 + 1e-6
    assert float(lengths(value)[-1]) == 0


@pytest.mark.parametrize(
    ("clients", "noise", "items", "parts"),
    [
        (943, 3.73, 0, ["popularity"]),
        (943, 1.99, 100, ["popularity", "graph"]),
        (943, 0.6, 196, ["popularity", "graph"]),
        (6040, 0.6, 1258, ["popularity", "graph"]),
    ],
)
def test_the_budget_decides(clients: int, noise: float, items: int, parts: list[str]) -> None:
    setting = Setting(3706, clients, 8, 0)
    form = UFGraphFormer().for_budget(Budget(clients, noise), setting)
    assert isinstance(form, PrivateForm)
    assert form.plan.graph_items == items
    releases = form.releases(9)
    assert [release.part for release in releases] == parts
    assert [(release.first, release.last) for release in releases] == [(1, 1), (2, 2)][: len(parts)]
    assert sum(release.share for release in releases) == pytest.approx(1)
    assert f"{clients / noise:,.0f} clients for each unit of noise" in " ".join(form.rationale())


def test_a_million_users_carry_a_graph_of_all_items() -> None:
    form = UFGraphFormer().for_budget(Budget(10**6, 0.6), Setting(3706, 10**6, 8, 0))
    assert isinstance(form, PrivateForm)
    assert form.plan.graph_items == 3706
    assert [form.asks_all_clients(number) for number in (1, 2, 3)] == [True, True, False]


def test_a_million_users_who_send_a_few_numbers_carry_no_graph() -> None:
    form = UFGraphFormer().for_budget(Budget(10**6, 0.6, most=16), SETTING)
    assert isinstance(form, PrivateForm)
    assert [release.part for release in form.releases(1)] == ["preference"]


def test_what_is_said_wins_over_what_is_afforded() -> None:
    asked = UFGraphFormer(private=PrivateSpec(graph_items=7, graph_weight=0.4))
    form = asked.for_budget(Budget(6040, 0.6, shares={"graph": 0.3}), SETTING)
    assert isinstance(form, PrivateForm)
    plan = form.plan
    assert (plan.graph_items, plan.graph_weight, plan.graph_share) == (7, 0.4, 0.3)


def test_it_learns_who_follows_whom(checkerboard, federation_of, monkeypatch) -> None:
    monkeypatch.setattr(model, "SHRINK", 0.1)
    form = PrivateForm(plan=Plan(graph_items=24, graph_share=0.5, graph_weight=1.0))
    federation = federation_of(form, checkerboard).run(2)
    ranks = federation.scores()
    same = (torch.arange(24)[:, None] + torch.arange(24)) % 2 == 0
    assert float(ranks[same].mean()) > float(ranks[~same].mean()) + 1


def test_without_head_and_graph_popularity_is_left(checkerboard, federation_of) -> None:
    federation = federation_of(PrivateForm(spec=PrivateSpec(head=False)), checkerboard).run(1)
    scores = federation.scores()
    assert torch.equal(scores, scores[:1].expand_as(scores))


def test_rarer_items_count_more_on_the_device_and_in_the_scores(
    checkerboard, federation_of
) -> None:
    form = PrivateForm(plan=Plan(graph_items=24, graph_share=0.5))
    state = federation_of(form, checkerboard).run(2).state
    counts, damping = state["counts"][state["kept"]], state["damping"]
    torch.testing.assert_close(damping, (counts + model.SHRINK) ** -0.25)
    last, _ = checkerboard.last(1000)
    own = transitions_of(last, state["kept"], damping, checkerboard.n_items, model.REACH)
    links = beyond_chance(own.dense().sum(0).view(24, 24))
    torch.testing.assert_close(
        state["next"], links * torch.outer(damping, damping), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize(("clients", "weight"), [(10**4, 0.4), (4 * 10**4, 0.8)])
def test_the_graphs_weight_grows_with_the_root_of_the_signal(clients: int, weight: float) -> None:
    plan = plan_for(PrivateSpec(graph_share=0.999999), Budget(clients, 1.0), SETTING)
    assert plan.graph_weight == pytest.approx(weight, rel=1e-3)


def test_what_lasts_is_the_same_in_every_later_message(checkerboard, federation_of) -> None:
    form = PrivateForm(plan=Plan(graph_items=5, graph_share=0.2))
    assert federation_of(form, checkerboard).cacheable(2).keys() == {"kept", "damping"}


def test_where_there_is_no_order_none_counts(checkerboard, federation_of) -> None:
    """Neither in what is sent nor in what is scored, and nothing is called the next."""
    setting = replace(SETTING, sequential=False)
    plan = plan_for(PrivateSpec(graph_items=24), Budget(10**5, 1.0), setting)
    assert "pairs among" in " ".join(plan.rationale())
    form = PrivateForm(plan=plan)
    batch = replace(checkerboard, ordered=False)
    backwards = torch.cat([own.flip(0) for own in batch.items.split(batch.counts.tolist())])
    turned = batch.with_history(batch.ptr, backwards)
    federations = [federation_of(form, each).run(2) for each in (batch, turned)]
    one, other = (federation.state["next"] for federation in federations)
    assert float(one.abs().max()) > 0
    torch.testing.assert_close(one, one.T)
    torch.testing.assert_close(one, other)
    scores, others = (federation.scores() for federation in federations)
    torch.testing.assert_close(scores, others, atol=1e-4, rtol=1e-4)
