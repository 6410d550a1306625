"""Weights of those who sit out stay, and nothing handed out is the store's own memory."""

import torch

from ufgraphfr.federation.private_state import PrivateState


def weights() -> dict[str, torch.Tensor]:
    return {"w": torch.arange(8.0).view(4, 2), "b": torch.arange(4.0)}


def test_only_the_named_clients_weights_are_replaced() -> None:
    store = PrivateState(weights())
    who = torch.tensor([3, 1])
    store.scatter(who, {"w": torch.tensor([[30.0, 31.0], [10.0, 11.0]])})
    assert store.weights["w"].tolist() == [[0, 1], [10, 11], [4, 5], [30, 31]]
    assert store.weights["b"].tolist() == [0, 1, 2, 3]
    assert store.gather(who)["w"].tolist() == [[30, 31], [10, 11]]


def test_gathered_weights_are_copies() -> None:
    store = PrivateState(weights())
    store.gather(torch.arange(4))["w"].zero_()
    assert torch.equal(store.weights["w"], weights()["w"])


def test_a_store_without_weights_is_on_the_cpu() -> None:
    assert PrivateState({}).device == torch.device("cpu")
    assert PrivateState(weights()).device == torch.device("cpu")
