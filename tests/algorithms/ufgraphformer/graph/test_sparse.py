"""The sparse graph with room for everything against the dense one, and a federation on it."""

import pytest
import torch
from largest_tensor import LargestTensor
from torch import Tensor

from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.ufgraphformer import UFGraphFormer
from ufgraphfr.algorithms.ufgraphformer.graph.config import GraphSpec
from ufgraphfr.algorithms.ufgraphformer.graph.contribution import Block
from ufgraphfr.algorithms.ufgraphformer.graph.sparse import is_list
from ufgraphfr.core.arrays.sparse_rows import pointers
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, State, combine, one_row
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.ops.fusion import Reached

SMALL = {"dim": 8, "hidden": 8, "history": 20}
SPARSE = {"rounds": 3, "dense_items": 1, "neighbors": 24}


def collected(model: UFGraphFormer, batch: ClientBatch, ordered: bool = True) -> State:
    setting = Setting(batch.n_items, len(batch), batch.text.shape[1], 0, sequential=ordered)
    state = model.init_server(setting)
    for number in range(1, model.graph.rounds + 1):
        block = Block(model.graph, batch.n_items, number)
        silos = torch.arange(len(batch)).split(10)
        parts = [block.contribution(batch.select(silo), ordered) for silo in silos]
        replies = [
            Report(number, silo, one_row(part), Aggregation.SUM, silo * 0.0)
            for silo, part in zip(silos, parts, strict=True)
        ]
        state = model.item_graph.collect(state, combine(replies).sums, number)
    return state


def blocks(**keys: int) -> list[Block]:
    """Those of a federation on the checkerboard's 24 items."""
    spec = GraphSpec(rounds=3, **keys)
    return [Block(spec, 24, number) for number in range(1, 4)]


def walks(seed: int, clients: int = 7) -> ClientBatch:
    """Clients with 2 to 8 items in an order of their own, some of them alike."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(2, 9, (clients,), generator=generator)
    items = torch.cat([torch.randperm(24, generator=generator)[:count] for count in counts])
    ptr = pointers(counts)
    who = torch.arange(clients)
    return ClientBatch(who, ptr, items, ptr * 0, items[:0], torch.ones(clients, 1), 24)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("clients", [1, 7, 60])
def test_clients_contribute_the_same_numbers_in_either_form(clients: int, ordered: bool) -> None:
    batch, told = walks(clients, clients), list[dict[str, Tensor]]()
    for form in (blocks(dense_items=1), blocks()):
        sums = dict[str, Tensor]()
        for block in form:
            for name, flat in block.contribution(batch, ordered).items():
                by_item = name in ("graph.counts", "graph.lately")
                assert flat.is_sparse == (block.spec.dense_items == 1 and not by_item)
                if by_item:
                    sums.setdefault(name, torch.zeros(24))[block.places] = flat.float()
                    continue
                row, column, value = block.entries(name, flat)
                sums.setdefault(name, torch.zeros(24, 24))[row, column] += value
        told.append(sums)
    mine, theirs = told
    assert mine.keys() == theirs.keys()
    assert len(mine) == (5 if ordered else 2)
    for name, whole in theirs.items():
        assert whole.any()
        assert torch.equal(mine[name], whole)


def test_a_block_of_a_large_catalogue_is_never_written_out() -> None:
    """70,000 items: a block has 600 million entries, and 40 clients a few thousand."""
    items = torch.randperm(70_000)[:800]
    ptr, who = torch.arange(41) * 20, torch.arange(40)
    batch = ClientBatch(who, ptr, items, ptr, items, torch.ones(40, 1), 70_000)
    largest = LargestTensor()
    with largest:
        model = UFGraphFormer(**SMALL, graph={"neighbors": 3})
        graph, block = model.item_graph, Block(model.graph, 70_000, 2)
        alone = [block.contribution(batch.select(one), True) for one in who.split(1)]
        assert all(block.is_feasible(part) for part in alone)
        replies = [
            Report(2, who[:1] + n, one_row(part), Aggregation.SUM, torch.zeros(1))
            for n, part in enumerate(alone)
        ]
        state = graph.state(Setting(70_000, 40, 1, 0))
        state = graph.collect(state, combine(replies).sums, 2)
    assert len(state["graph.pairs.columns.2"]) > 50
    assert largest.numbers < 100 * 70_000


def popular_first(clients: int = 400, items: int = 200) -> ClientBatch:
    """Clients with 10 items each, the first of the catalogue had by most."""
    generator = torch.Generator().manual_seed(0)
    chance = 1 / torch.arange(1, items + 1)
    own = chance.expand(clients, -1).multinomial(10, generator=generator)
    ptr, who = torch.arange(clients + 1) * 10, torch.arange(clients)
    return ClientBatch(who, ptr, own.flatten(), ptr * 0, own[:0, 0], torch.ones(clients, 1), items)


def test_no_block_has_most_pairs_of_a_catalogue_that_begins_with_popular_items() -> None:
    batch = popular_first()
    spec = GraphSpec(rounds=4, dense_items=1)
    blocks = [Block(spec, batch.n_items, number) for number in range(1, 5)]
    assert sorted(row for block in blocks for row in block.rows) == list(range(batch.n_items))
    for name in ("graph.pairs", "graph.next", "graph.step"):
        sums = (block.contribution(batch, True)[name] for block in blocks)
        pairs = [len(each.values()) for each in sums]
        assert max(pairs) < 1.7 * min(pairs)


def test_of_too_many_pairs_those_that_say_most_are_kept() -> None:
    batch = popular_first()
    graph = {"rounds": 4, "dense_items": 1}
    whole = UFGraphFormer(**SMALL, graph=graph)
    most = 4 * 300
    bounded = UFGraphFormer(**SMALL, graph=graph | {"most_pairs": most})
    states = []
    for model in (whole, bounded):
        state = model.init_server(Setting(batch.n_items, len(batch), 1, 0))
        for number in range(1, 4):
            sums = Block(model.graph, batch.n_items, number).contribution(batch, True)
            state = model.item_graph.collect(state, sums, number)
        states.append(state)
    for name in ("graph.pairs", "graph.next"):
        pairs = [[len(s[f"{name}.columns.{n}"]) for n in range(1, 4)] for s in states]
        assert min(pairs[0]) > 300
        assert pairs[1] == 3 * [300]
    done = [collected(model, batch) for model in (whole, bounded)]
    # who has each item is known none the less, and the strongest links are the same
    assert torch.equal(*(state["graph.counts"] for state in done))
    first = [
        state["graph.cosine.index"][state["graph.cosine"][:, 0] > 0.2, 0].tolist() for state in done
    ]
    assert len(first[0]) > 20
    assert first[0] == first[1]


@pytest.mark.parametrize("dense_items", [1, 5000])
def test_one_client_cannot_contribute_what_no_history_says(dense_items: int) -> None:
    for seed in range(20):
        one = walks(seed, 1)
        for block in blocks(dense_items=dense_items):
            told = {n: v.to_dense() for n, v in block.contribution(one, True).items()}
            assert block.is_feasible(told)
            assert block.is_feasible({"graph.pairs": told["graph.pairs"]})
            most = UFGraphFormer(**SMALL).integer_bounds
            for name, flat in told.items():
                for place in flat.nonzero()[:, 0][:3]:
                    more = flat.clone()
                    more[place] = most[name] + 1
                    assert not block.is_feasible(told | {name: more})
            pairs, rows = told["graph.pairs"], block.entries("graph.pairs", told["graph.pairs"])[0]
            # an item that is its own pair and nobody else's, and a pair less
            if len(rows.unique()) > 1:
                assert not block.is_feasible(told | {"graph.pairs": pairs * 0})
                less = pairs.clone()
                less[pairs.nonzero()[0, 0]] = 0
                assert not block.is_feasible(told | {"graph.pairs": less})
            absent = block.rows.index((set(block.rows) - set(one.items.tolist())).pop())
            other = told["graph.step"].clone().view(len(block.rows), 24)
            other[absent, 23] = 1
            assert not block.is_feasible(told | {"graph.step": other.flatten()})
            for name in ("graph.lately", "graph.counts"):
                for much in (1, 2):
                    by_item = told[name].clone()
                    by_item[absent] = much
                    assert not block.is_feasible(told | {name: by_item})
            # nobody has two last items
            lately = told["graph.lately"] * 0
            own = [block.rows.index(item) for item in set(one.items.tolist()) & set(block.rows)]
            lately[torch.tensor(own, dtype=torch.int64)] = 7
            assert block.is_feasible(told | {"graph.lately": lately}) == (len(own) < 2)


@pytest.mark.parametrize("ordered", [True, False])
def test_with_room_for_everything_it_is_the_dense_graph(
    checkerboard: ClientBatch, ordered: bool
) -> None:
    sparse = UFGraphFormer(**SMALL, graph=SPARSE | {"local_ridge": 30})
    dense = UFGraphFormer(**SMALL, graph={"rounds": 3, "ridge": 30})
    one, other = (collected(model, checkerboard, ordered) for model in (sparse, dense))
    torch.testing.assert_close(one["graph.counts"], other["graph.counts"])
    setting = Setting(24, 24, 8, 0, sequential=ordered)
    mine, theirs = (
        dict(
            zip(
                model.item_graph.names(setting),
                model.item_graph.scores(model.item_graph.shared(state), checkerboard),
                strict=True,
            )
        )
        for model, state in ((sparse, one), (dense, other))
    )
    assert theirs.keys() - mine.keys() == ({"ridge 1", "ridge 0.8"} if ordered else set())
    assert ("next 0.8" in mine, "conditional 1" in mine) == (ordered, not ordered)
    for name, scorer in mine.items():
        own = scorer()
        scores = own.dense() if isinstance(own, Reached) else own
        torch.testing.assert_close(scores, theirs[name](), atol=1e-4, rtol=1e-4)
        assert scores.abs().sum() > 0


@pytest.mark.parametrize("graph", [SPARSE, {"rounds": 3}], ids=["sparse", "dense"])
def test_without_order_links_say_how_many_of_an_items_users_have_another(
    checkerboard: ClientBatch, graph: dict[str, int]
) -> None:
    model = UFGraphFormer(**SMALL, graph=graph | {"user_power": 0})
    state = collected(model, checkerboard, ordered=False)
    has = torch.zeros(len(checkerboard), 24)
    owner = torch.arange(len(checkerboard)).repeat_interleave(checkerboard.counts)
    has[owner, checkerboard.items] = 1
    total = has.sum(0)
    shares = (has.T @ has).fill_diagonal_(0) / (total + 1)[:, None] ** 1.5 / total**0.25
    each = checkerboard.select(torch.arange(24)).with_history(torch.arange(25), torch.arange(24))
    setting = Setting(24, len(checkerboard), 1, 0, sequential=False)
    place = model.item_graph.names(setting).index("conditional 1")
    scores = model.item_graph.scores(model.item_graph.shared(state), each)[place]()
    scores = scores.dense() if isinstance(scores, Reached) else scores
    torch.testing.assert_close(scores, shares)
    del state["graph.conditional"]
    with pytest.raises(InputError, match=r"no graph\.conditional: another version trained it"):
        model.item_graph.shared(state)


def test_with_all_items_as_candidates_nothing_changes(checkerboard: ClientBatch) -> None:
    sent = []
    for candidates in (None, checkerboard.n_items):
        graph = SPARSE | {"neighbors": 6}
        model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
        state = collected(model, checkerboard)
        task = model.broadcast(state, checkerboard.clients, 4)
        sent.append(model.local(task, checkerboard, {}, Key(0, round=4))[0].arrays["gradient"])
    torch.testing.assert_close(sent[0], sent[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("candidates", [None, 8])
def test_a_federation_learns_the_board(
    checkerboard: ClientBatch, federation_of, candidates: int | None
) -> None:
    graph = SPARSE | {"neighbors": 8}
    model = UFGraphFormer(**SMALL, graph=graph, training={"candidates": candidates})
    federation = federation_of(model, checkerboard).run(5, chunk=7)
    own = torch.arange(24)
    same = (own[:, None] + own) % 2 == 0
    scores = federation.scores()
    assert scores.isfinite().all()
    assert scores[same].mean() > scores[~same].mean() + 1
    assert not any(is_list(name) for name in federation.state)


@pytest.mark.parametrize("graph", [SPARSE, {"rounds": 3}], ids=["sparse", "dense"])
def test_sums_that_an_earlier_version_began_are_refused(
    checkerboard: ClientBatch, graph: dict[str, int]
) -> None:
    model = UFGraphFormer(**SMALL, graph=graph)
    state = model.init_server(Setting(24, len(checkerboard), checkerboard.text.shape[1], 0))
    first, second = (Block(model.graph, 24, number) for number in (1, 2))
    sums = first.contribution(checkerboard, True)
    # that version read from the pairs how many have an item, once it had all
    del sums["graph.counts"]
    before = model.item_graph.collect(state, sums, 1)
    with pytest.raises(InputError, match="as an earlier version made them"):
        model.item_graph.collect(before, second.contribution(checkerboard, True), 2)


def test_memory_is_linear_in_the_items() -> None:
    model = UFGraphFormer(**SMALL, graph={"dense_items": 100, "neighbors": 7})
    state = model.item_graph.state(Setting(5000, 10, 8, 0))
    assert sum(value.numel() for value in state.values()) == 5000 * (2 + 3 + 64)
