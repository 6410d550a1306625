"""New items of the flagship: scored like known ones that are like them, in features or title."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import Ridge

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.on_device.cold_items import ColdItems, ColdItemsSpec
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.spec import parse
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.federation.client import Client, Request
from ufgraphfr.privacy.none import NoMechanism

SMALL = {"dim": 8, "hidden": 8, "history": 5, "graph": {"rounds": 1}, "head": False}
NEW = torch.tensor([3, 8])
"""Of different colours on the checkerboard."""


def test_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    features, scores = (torch.randn(*shape, generator=generator) for shape in ((30, 4), (5, 30)))
    titles = torch.randn(30, 6, generator=generator)
    counts = torch.ones(30)
    counts[-4:] = 0
    cold_items = ColdItems(ColdItemsSpec(ridge=0.7))
    public = cold_items.state(Setting(30, 5, 1, 0, features, titles))["public"]
    assert public.shape == (30, 4 + 1 + 6)
    filled = cold_items.finished(scores, {"public": public, "graph.counts": counts})
    assert torch.equal(filled[:, :-4], scores[:, :-4])
    oracle = Ridge(alpha=0.7, fit_intercept=False).fit(public[:-4], scores[:, :-4].T)
    torch.testing.assert_close(
        filled[:, -4:], torch.as_tensor(oracle.predict(public[-4:]).T).float(), atol=1e-4, rtol=1e-4
    )


def test_titles_are_centred_and_may_be_left_out() -> None:
    titles = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    setting = Setting(2, 5, 1, 0, None, titles)

    def public(setting: Setting, titles: bool = True) -> torch.Tensor:
        return ColdItems(ColdItemsSpec(titles=titles)).state(setting)["public"]

    torch.testing.assert_close(public(setting), torch.tensor([[1.0, -1, 0], [1, 1, 0]]))
    for without in (public(setting, titles=False), public(Setting(2, 5, 1, 0))):
        assert torch.equal(without, torch.ones(2, 1))


def test_nobody_has_anything() -> None:
    scores = torch.zeros(2, 3)
    shared = {"public": torch.ones(3, 1), "graph.counts": torch.zeros(3)}
    assert torch.equal(ColdItems(ColdItemsSpec()).finished(scores, shared), scores)


@pytest.mark.parametrize("of", ["features", "titles"])
def test_users_prefer_new_items_of_their_colour(checkerboard: ClientBatch, of: str) -> None:
    colour = torch.nn.functional.one_hot(torch.arange(24) % 2, 2).float()
    known = ~torch.isin(checkerboard.items, NEW)
    owner = torch.repeat_interleave(torch.arange(24), checkerboard.counts)[known]
    ptr = torch.cat((torch.zeros(1, dtype=torch.int64), torch.bincount(owner).cumsum(0)))
    batch = checkerboard.with_history(ptr, checkerboard.items[known])
    public = {"features": colour} if of == "features" else {"item_text": colour}
    setting = Setting(24, 24, batch.text.shape[1], 0, **public)
    model = UFGraphFormer(**SMALL, features=False, cold_items={})
    assert model.asks_for_item_text
    state = model.init_server(setting)
    task = model.broadcast(state, batch.clients, 1)
    task = replace(task, aggregation=model.aggregation)
    request = Request(task, batch, {}, Key(0, round=1))
    report, _ = Client(model, NoMechanism()).respond(request)
    state = model.aggregate(state, report)
    score = model.score(model.scoring_task(state, batch.clients, 2), batch, {})
    odd = score[:, NEW[0]] > score[:, NEW[1]]
    assert torch.equal(odd, torch.arange(24) % 2 == 1)


def test_it_needs_the_counts() -> None:
    with pytest.raises(InputError, match="cold_items needs the graph"):
        parse(UFGraphFormer, {"graph": False, "cold_items": {}}, "[algorithm]")
