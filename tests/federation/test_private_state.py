"""Weights of those who sit out stay, and nothing handed out is the store's own memory."""

from pathlib import Path

import pytest
import torch

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.pfedrec import PFedRec
from ufgraphfr.core.messages import Private
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.private_state import CLIENTS, PrivateState, private_state


def weights() -> dict[str, torch.Tensor]:
    return {"w": torch.arange(8.0).view(4, 2), "b": torch.arange(4.0)}


def of(*clients: int) -> ClientBatch:
    """Clients without data."""
    who = torch.tensor(clients)
    bounds, nothing = torch.zeros(len(clients) + 1, dtype=torch.int64), who[:0]
    return ClientBatch(who, bounds, nothing, bounds, nothing, torch.zeros(len(clients), 1), 5)


def started(batch: ClientBatch) -> Private:
    """What each client begins with: its number, and one more."""
    own = batch.clients.float()
    return {"w": torch.stack((own, own + 1), 1), "b": own}


def lazy(private: Private | None = None) -> PrivateState:
    return PrivateState(private or {}, started, clients=10)


def test_only_the_named_clients_weights_are_replaced() -> None:
    store = PrivateState(weights())
    store.scatter(torch.tensor([3, 1]), {"w": torch.tensor([[30.0, 31.0], [10.0, 11.0]])})
    assert store.weights["w"].tolist() == [[0, 1], [10, 11], [4, 5], [30, 31]]
    assert store.weights["b"].tolist() == [0, 1, 2, 3]
    assert store.gather(of(3, 1))["w"].tolist() == [[30, 31], [10, 11]]


def test_gathered_weights_are_copies() -> None:
    store = PrivateState(weights())
    store.gather(of(0, 1, 2, 3))["w"].zero_()
    assert torch.equal(store.weights["w"], weights()["w"])


def test_a_store_without_weights_is_on_the_cpu() -> None:
    assert PrivateState({}).device == lazy().device == torch.device("cpu")
    assert PrivateState(weights()).device == torch.device("cpu")


def test_weights_of_who_sat_out_are_made_when_asked_for() -> None:
    store = lazy()
    assert store.gather(of(7, 2))["b"].tolist() == [7, 2]
    assert store.kept() == {}
    store.scatter(torch.tensor([7]), {"w": torch.tensor([[0.5, 0.25]]), "b": torch.tensor([9.0])})
    store.scatter(torch.tensor([4, 7]), {"w": torch.ones(2, 2), "b": torch.tensor([8.0, 6.0])})
    found = store.gather(of(2, 7, 4))
    assert found["w"].tolist() == [[2, 3], [1, 1], [1, 1]]
    assert found["b"].tolist() == [2, 6, 8]


def test_what_is_kept_is_of_who_took_part_and_makes_the_same_store() -> None:
    store = lazy()
    store.scatter(torch.tensor([8, 1]), {"w": torch.ones(2, 2), "b": torch.tensor([80.0, 10.0])})
    kept = store.kept()
    assert kept[CLIENTS].tolist() == [1, 8]
    assert kept["b"].tolist() == [10, 80]
    for again in (lazy(kept), store.copy()):
        store.scatter(torch.tensor([1]), {"w": torch.zeros(1, 2), "b": torch.zeros(1)})
        assert again.gather(of(8, 1, 3))["b"].tolist() == [80, 10, 3]


def test_a_store_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = lazy()
    store.scatter(torch.tensor([1]), {"w": torch.ones(1, 2), "b": torch.ones(1)})
    assert list(tmp_path.iterdir()) == []
    assert store.gather(of(1))["b"].tolist() == [1]


def test_of_many_clients_only_those_who_took_part_have_weights() -> None:
    """2 million users with a score layer each would take a gigabyte."""
    algorithm, setting = PFedRec(dim=32), Setting(5, 2_000_000, 1, 0)
    store = private_state(algorithm, setting, {})
    some = of(1_999_999, 12)
    begun = store.gather(some)
    expected = algorithm.init_private(setting, some)
    assert begun.keys() == expected.keys()
    assert all(torch.equal(begun[name], expected[name]) for name in begun)
    store.scatter(some.clients, {name: value + 1 for name, value in begun.items()})
    kept = store.kept()
    assert sum(value.nbytes for value in kept.values()) < 10_000
    again = private_state(algorithm, setting, kept)
    assert all(torch.equal(value, begun[n] + 1) for n, value in again.gather(some).items())
