"""One pass ranks under every blend what a pass for each would have ranked."""

from pathlib import Path

import numpy as np
import pytest
import torch
from largest_tensor import LargestTensor
from torch import Tensor

from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Private, Task
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.data.split import Split
from ufgraphfr.evaluation.fusion import choose_blend
from ufgraphfr.evaluation.metric_sums import Model, evaluate, evaluate_blends, half
from ufgraphfr.evaluation.metrics import NAMES, SELECTED_BY
from ufgraphfr.evaluation.protocol import EvaluationSet
from ufgraphfr.evaluation.results import CHANCE, best_choice
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.population import Simulated
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.federation.private_state import PrivateState
from ufgraphfr.federation.scoring import device_score
from ufgraphfr.privacy.none import NoMechanism

DATA = {"kind": "synthetic", "users": 60, "items": 40, "groups": 4, "interactions": 8}
BLENDS = torch.cat([torch.rand(20, 3, generator=torch.Generator().manual_seed(3)), torch.eye(3)])


def parts_of(clients: ClientBatch) -> Tensor:
    """Three parts that disagree, with ties in the first and the last and NaN in the second."""
    grid = clients.clients[:, None] * 7919 + torch.arange(clients.n_items) * 104729
    parts = torch.stack([(grid % prime % 13).float() for prime in (8675309, 7907, 6007)])
    parts[1] += torch.rand(parts[1].shape, generator=torch.Generator().manual_seed(1))
    parts[1, :, 5] = torch.nan
    return parts


def weighted(_: ClientBatch, parts: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("kcp,pci->kci", weights, parts)


def test_each_blend_is_ranked_as_a_model_of_its_own(batch: ClientBatch, split: Split) -> None:
    asked = EvaluationSet.of(batch, split, "validation")
    whole = parts_of(asked.clients)

    def parts(own: ClientBatch) -> Tensor:
        return whole[:, torch.searchsorted(asked.clients.clients, own.clients)]

    found = evaluate_blends(Model(parts, weighted), BLENDS, asked, chunk=7)
    gains, sums = [], found.sums()
    for choice, blend in enumerate(BLENDS):

        def score(own: ClientBatch, blend: Tensor = blend) -> Tensor:
            return torch.einsum("p,pci->ci", blend, parts(own))

        alone = evaluate(score, asked)
        assert found.of(choice).metrics == alone.metrics
        assert np.array_equal(found.of(choice).full, alone.full)
        gains.append(alone.metrics["full"][SELECTED_BY])
        means = [[ranking[name] for name in NAMES] for ranking in alone.metrics.values()]
        assert (sums[choice] / len(asked.targets)).numpy() == pytest.approx(np.array(means))
    assert found.gains().mean(1) == pytest.approx(np.array(gains))
    assert len(set(gains)) > 10


def test_fewer_users_are_scored_at_once_where_items_are_many(
    monkeypatch: pytest.MonkeyPatch, batch: ClientBatch, split: Split
) -> None:
    asked = EvaluationSet.of(batch, split, "test")
    whole, sizes = parts_of(batch), []

    def parts(own: ClientBatch) -> Tensor:
        sizes.append(len(own))
        return whole[:, own.clients]

    expected = evaluate_blends(Model(parts, weighted), BLENDS, asked)
    # room for the scores of three users, then for not even one, of whom there are some at once
    for room, fewest, most in ((3.5, 1, 3), (0.5, 1, 1), (0.5, 2, 2)):
        sizes.clear()
        size = int(room * 4 * split.n_items)
        monkeypatch.setattr("ufgraphfr.evaluation.protocol.MOST_BYTES", size)
        monkeypatch.setattr("ufgraphfr.evaluation.protocol.FEWEST", fewest)
        found = evaluate_blends(Model(parts, weighted), BLENDS, asked)
        assert max(sizes) == most
        assert np.array_equal(found.ranks, expected.ranks)
        assert torch.equal(found.covered, expected.covered)


@pytest.mark.parametrize("blends", [1, 5])
def test_twice_the_users_need_no_larger_tensor(blends: int) -> None:
    items, parts, largest = 3_000, 3, []
    vectors = torch.rand(parts, 4, items, generator=torch.Generator().manual_seed(4))
    for users in (600, 1_200):
        own = torch.rand(parts, users, 4, generator=torch.Generator().manual_seed(5))
        ptr, drawn = torch.arange(users + 1), torch.arange(users)
        clients = ClientBatch(drawn, ptr, drawn, ptr * 0, drawn[:0], torch.empty(users, 0), items)
        asked = EvaluationSet(clients, drawn[:, None] + 1, drawn[:, None] + 2)

        def scored(some: ClientBatch, own: Tensor = own) -> Tensor:
            return own[:, some.clients] @ vectors

        with LargestTensor() as watched:
            choose_blend(Model(scored), asked, BLENDS[:blends], torch.zeros(1, 0), Key(0))
        largest.append(watched.numbers)
    # of all users the scores of one part alone would be larger
    assert largest[0] == largest[1] < 600 * items


def test_rounding_errors_decide_no_tie() -> None:
    assert best_choice(torch.tensor([0.1 + 0.2, 0.3, 0.1], dtype=torch.float64).flip(0)) == 1
    assert best_choice(torch.tensor([0.3, 0.3 + 1e-8], dtype=torch.float64)) == 1


def test_what_was_fitted_stays_unless_another_gains_more_than_by_chance() -> None:
    gains, fitted = torch.tensor([5.0, 5.5, 5.2], dtype=torch.float64), torch.tensor([1, 0, 1]) > 0
    # .1 times the root of the users
    assert best_choice(gains, fitted, 8) == 1
    assert best_choice(gains, fitted, 10) == 2
    assert best_choice(gains, fitted & ~fitted, 100) == 1
    assert best_choice(gains) == 1


def test_validation_scores_nobody_twice_and_takes_a_blend_as_good_as_the_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    experiment = build(
        {
            "data": DATA,
            "text": {"kind": "hashing", "width": 8},
            "algorithm": {"kind": "ufgraphformer", "dim": 8, "history": 5, "graph": {"rounds": 1}},
            "federation": {"rounds": 2},
            "evaluation": {"chunk": 7},
        }
    )
    list(execute(experiment, tmp_path / "run", device="cpu"))
    # with what was derived from the data
    experiment, state = Run(tmp_path / "run").experiment, Run(tmp_path / "run").checkpoint.server
    prepared, model = prepare(experiment), experiment.model
    assert isinstance(model, UFGraphFormer)
    scored: list[int] = []

    def watched(self: UFGraphFormer, task: Task, inputs: ClientBatch, private: Private) -> Tensor:
        scored.extend(inputs.clients.tolist())
        return parts_alone(self, task, inputs, private)

    parts_alone = UFGraphFormer.parts
    people = Simulated(experiment, prepared, torch.device("cpu"))
    people.begin(model, NoMechanism(), None)
    with monkeypatch.context() as patched:
        patched.setattr(UFGraphFormer, "parts", watched)
        chosen, metrics = people.validate(state, 1, pick=True)
    # once for the fit, once for the ranking under all candidates
    assert scored == prepared.validation.clients.clients.tolist() * 2
    assert {k: v for k, v in chosen.items() if k != "blend"}.keys() == state.keys() - {"blend"}

    def validation(blend: Tensor) -> float:
        score = device_score(model, state | {"blend": blend}, PrivateState({}), 1)
        return evaluate(score, prepared.validation).metrics["full"][SELECTED_BY]

    gains = [validation(blend) for blend in model.fixed_blends(people.setting)]
    chance = CHANCE / len(prepared.validation.clients) ** 0.5
    assert metrics["full"][SELECTED_BY] >= max(gains) - chance


def test_users_of_each_half_are_ranked_with_their_own_blend(
    batch: ClientBatch, split: Split
) -> None:
    asked = EvaluationSet.of(batch, split, "validation")
    whole = parts_of(asked.clients)

    def parts(own: ClientBatch) -> Tensor:
        return whole[:, torch.searchsorted(asked.clients.clients, own.clients)]

    model = Model(parts, weighted)
    found = evaluate_blends(model, BLENDS[:2, None], asked, chunk=7)
    for side in (0, 1):
        alone = evaluate_blends(model, BLENDS[side : side + 1], asked)
        mine = (half(asked.clients.clients) == side).numpy()
        assert np.array_equal(found.ranks[..., mine], alone.ranks[..., mine])
