"""What declared profiles say under a budget: one sum of bounded parts, and the map from it."""

from dataclasses import replace

import pytest
import torch
from made_batches import made_batch
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.private.config import PrivateSpec
from ufgraphfr.algorithms.ufgraphformer.private.model import PrivateForm
from ufgraphfr.algorithms.ufgraphformer.private.plan import Plan
from ufgraphfr.algorithms.ufgraphformer.private.profile import (
    coordinates,
    lift_map,
    log_lift,
    public_basis,
    told,
)
from ufgraphfr.core.releases import Budget

WIDTH = 6
SENTENCES = torch.nn.functional.normalize(torch.randn(40, WIDTH), dim=1)
BASIS = public_basis(SENTENCES, 3)


def planted(clients: int, rank: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Texts, how much likelier each of 20 items is by them, and histories drawn from that."""
    generator = torch.Generator().manual_seed(3)
    text = SENTENCES[torch.randint(len(SENTENCES), (clients,), generator=generator)]
    taste = torch.zeros(rank, 20)
    taste[0, ::2], taste[0, 1::2] = 0.8, -0.8
    lift = 1 + coordinates(text, BASIS)[:, 1:] @ taste
    chance = torch.linspace(0.1, 0.4, 20) * lift
    return text, lift, (torch.rand(clients, 20, generator=generator) < chance).float()


def total_of(text: Tensor, history: Tensor) -> Tensor:
    clients = len(text)
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), history.sum(1).long().cumsum(0)))
    batch = made_batch([1] * clients, 20)
    whole = type(batch)(
        torch.arange(clients), ptr, history.nonzero()[:, 1], ptr * 0, ptr[:0], text, 20
    )
    return told(whole, torch.arange(20), BASIS).sum(0)


def test_nobody_says_more_than_length_one_whatever_the_text_and_the_basis() -> None:
    batch = made_batch([9, 4, 1, 0], 30)
    width = batch.text.shape[1]
    for basis in (torch.randn(1 + width, 4) * 100, torch.zeros(1 + width, 2)):
        said = told(batch, torch.arange(0, 30, 3), basis)
        assert said.shape == (4, (1 + basis.shape[1]) * (10 + 1 + basis.shape[1]))
        assert float(said.norm(dim=1).max()) <= 1 + 1e-6


def test_coordinates_are_white_over_the_declared_sentences() -> None:
    own = SENTENCES @ BASIS[1:] + BASIS[0]
    torch.testing.assert_close(own.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(own.T @ own / len(own), torch.eye(3) / 3, atol=1e-5, rtol=0)
    # of three sentences there are but two directions
    few = public_basis(SENTENCES[:3], 5)
    assert (few[1:].abs().sum(0) > 0).tolist() == [True, True, False, False, False]


def test_a_node_that_embeds_no_sentences_knows_the_form_of_what_the_server_sends() -> None:
    for sentences in (SENTENCES, SENTENCES[:3], torch.zeros_like(SENTENCES)):
        basis = public_basis(sentences, 3)
        assert basis.shape == BASIS.shape
        assert bool(basis.isfinite().all())


def test_without_noise_the_map_finds_what_was_planted() -> None:
    text, lift, history = planted(20_000)
    mapped = lift_map(total_of(text, history), len(text), 3, 0.0)
    found = log_lift(text, BASIS, mapped)
    assert float((found - lift.log()).abs().mean()) < 0.1
    assert torch.corrcoef(torch.stack((found.flatten(), lift.log().flatten())))[0, 1] > 0.95


def test_noise_without_a_signal_says_next_to_nothing() -> None:
    text, _, history = planted(5_000)
    generator = torch.Generator().manual_seed(0)
    shuffled = text[torch.randperm(len(text), generator=generator)]
    total, spread = total_of(shuffled, history), []
    for std in (0.0, 50.0):
        noised = total + std * torch.randn(total.shape, generator=generator)
        spread.append(float(log_lift(text, BASIS, lift_map(noised, 5_000, 3, std)).std()))
    assert max(spread) < 0.05


def test_what_everybody_likes_is_not_what_the_sentence_says() -> None:
    text, _, history = planted(3_000)
    one = lift_map(total_of(text, history), 3_000, 3, 1.0)
    # the same people with sentences that lie to one side of the declared ones
    centre = coordinates(text, BASIS) @ one
    assert abs(float(centre.mean())) < 0.02


def setting(profiles: Tensor | None, items: int = 3706) -> Setting:
    return Setting(items, 6040, WIDTH, 0, profiles=profiles)


@pytest.mark.parametrize(
    ("clients", "noise", "directions", "share"),
    [(6040, 0.6, 16, 0.15), (6040, 3.73, 2, 0.1), (943, 1.99, 0, 0)],
)
def test_the_budget_decides_how_many_directions(
    clients: int, noise: float, directions: int, share: float
) -> None:
    form = UFGraphFormer().for_budget(Budget(clients, noise), setting(SENTENCES))
    assert isinstance(form, PrivateForm)
    assert form.plan.directions == directions
    parts = {release.part: release for release in form.releases(9)}
    assert ("profile" in parts) == bool(directions)
    assert sum(release.share for release in parts.values()) == pytest.approx(1)
    if directions:
        assert parts["profile"].norm == 1.0
        assert (parts["profile"].first, parts["profile"].share) == (3, share)
    why = " ".join(form.rationale())
    assert f"profile: {directions} directions" in why or "profile: left out" in why


def test_without_declared_values_nothing_changes_and_it_is_told() -> None:
    without = UFGraphFormer().for_budget(Budget(6040, 0.6), setting(None))
    zero = UFGraphFormer(private=PrivateSpec(profile_share=0.0))
    off = zero.for_budget(Budget(6040, 0.6), setting(SENTENCES))
    assert isinstance(without, PrivateForm)
    assert isinstance(off, PrivateForm)
    assert without.releases(9) == off.releases(9)
    assert "nobody declared" in " ".join(without.rationale())
    assert "profile: left out" in " ".join(off.rationale())


def test_shares_of_the_budget_may_be_said() -> None:
    budget = Budget(6040, 0.6, shares={"graph": 0.95, "profile": 0.3})
    form = UFGraphFormer().for_budget(budget, setting(SENTENCES))
    assert isinstance(form, PrivateForm)
    assert form.plan.shares["profile"] == 0.3
    assert form.plan.shares["popularity"] == pytest.approx(0.01)


def test_a_profile_serves_who_has_nothing_yet(checkerboard, federation_of) -> None:
    """Users of one colour have one sentence; who comes without items is given that colour."""
    colour = checkerboard.clients % 2
    sentences = torch.nn.functional.normalize(torch.eye(2, checkerboard.text.shape[1]) + 0.1, dim=1)
    batch = replace(checkerboard, text=sentences[colour])
    form = PrivateForm(spec=PrivateSpec(head=False), plan=Plan(directions=2, profile_share=0.5))
    federation = federation_of(form, batch)
    federation.setting = replace(federation.setting, profiles=sentences)
    federation.state = form.init_server(federation.setting)
    state = federation.run(2).state
    nobody = batch.with_history(batch.ptr * 0, batch.items[:0])
    scores = form.score(form.scoring_task(state, batch.clients, 3), nobody, {})
    same = (colour[:, None] + torch.arange(batch.n_items)) % 2 == 0
    assert float(scores[same].mean()) > float(scores[~same].mean()) + 0.5
    # the more is known of a user, the less the sentence says
    uneven = state["counts"] * torch.linspace(1, 8, batch.n_items)
    state = state | {"counts": uneven}
    scores = form.score(form.scoring_task(state, batch.clients, 3), nobody, {})
    own = form.score(form.scoring_task(state, batch.clients, 3), batch, {})
    assert float(own[same].mean() - own[~same].mean()) < float(
        scores[same].mean() - scores[~same].mean()
    )


def test_two_sentences_are_one_direction() -> None:
    form = UFGraphFormer().for_budget(Budget(6040, 0.6), setting(SENTENCES[:2]))
    assert isinstance(form, PrivateForm)
    assert form.plan.directions == 1
    assert form.init_server(setting(SENTENCES[:2]))["map"].shape == (2, 50)
