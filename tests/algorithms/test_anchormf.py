"""Prototypes: one of them is plain factorisation, and more cost no sensitivity."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_shards import made_shard

from ufgraphfr.algorithms.anchormf import AnchorMF, kmeans, stacked
from ufgraphfr.algorithms.base import Setting
from ufgraphfr.algorithms.fedmf import FedMF
from ufgraphfr.core.arrays.sparse_rows import Rows
from ufgraphfr.core.arrays.tables import MixedTables
from ufgraphfr.core.keys import Key
from ufgraphfr.core.releases import Release
from ufgraphfr.federation.client import respond
from ufgraphfr.privacy.accounted.gaussian import GaussianRelease, NoisedSums
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.noise import grid_step, secure_normal
from ufgraphfr.privacy.base import Participation
from ufgraphfr.privacy.none import NoMechanism

SHARD = made_shard([9, 7, 4, 1, 0], 20)
PROFILES = torch.randn(40, SHARD.text.shape[1], generator=torch.Generator().manual_seed(0))
SETTING = Setting(20, len(SHARD), SHARD.text.shape[1], 0, profiles=PROFILES)


def test_one_prototype_is_plain_factorisation_to_the_bit(checkerboard, federation_of) -> None:
    one = federation_of(AnchorMF(prototypes=1), checkerboard).run(4, cohort=0.5)
    plain = federation_of(FedMF(), checkerboard).run(4, cohort=0.5)
    assert torch.equal(one.scores(), plain.scores())
    assert torch.equal(one.state["items"][0], plain.state["items"])


@pytest.mark.parametrize("prototypes", [2, 5])
def test_a_client_receives_its_neighbours_changes(prototypes: int) -> None:
    algorithm = AnchorMF(prototypes=prototypes, dim=4)
    state = algorithm.init_server(SETTING)
    task = algorithm.broadcast(state, SHARD.clients, 1)
    private, key = algorithm.init_private(SETTING, SHARD), Key(0, 1)
    report, _ = respond(algorithm, NoMechanism(), task, SHARD, private, key)
    after = algorithm.aggregate(state, report)
    # the same by the user graph written out
    plain = FedMF(dim=4)
    start = {"items": state["items"][0]}
    update, _ = plain.local(plain.broadcast(start, SHARD.clients, 1), SHARD, private, key)
    changes = update.arrays["items"]
    assert isinstance(changes, Rows)
    mixture = algorithm.mixture(state, SHARD.text)
    graph = prototypes * mixture @ mixture.T / len(SHARD)
    expected = start["items"] + torch.einsum("uv,vid->uid", graph, changes.dense())
    received = MixedTables(after["items"], mixture)
    torch.testing.assert_close(received.dense(), expected)
    rows = torch.arange(20).repeat(len(SHARD))
    gathered = received.gather(torch.arange(0, 20 * len(SHARD) + 1, 20), rows)
    torch.testing.assert_close(gathered.view(expected.shape), expected)


@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 6),
    bound=st.floats(0.01, 100),
    sharpness=st.floats(0, 50),
)
def test_all_blocks_together_are_within_one_clip(
    seed: int, count: int, bound: float, sharpness: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    change = Rows.of(torch.randn(4, 6, 3, generator=generator) * 10)
    mixture = torch.softmax(sharpness * torch.randn(4, count, generator=generator), 1)
    blocks = stacked(change, mixture)
    expected = torch.einsum("ck,cid->ckid", mixture, change.dense()).flatten(1, 2)
    torch.testing.assert_close(blocks.dense(), expected)
    before, after = (rows.dense().flatten(1).norm(dim=1) for rows in (change, blocks))
    assert bool((after <= before * (1 + 1e-5)).all())
    part = GaussianRelease(Participation(Release("update", 1, 1), 1, None, 4), 1.0, bound)
    mechanism = NoisedSums((part,), Ledger(None), 1, secure_normal)
    clipped = mechanism.privatize({"items": blocks}, torch.arange(4), Key(0, 1))["items"]
    assert isinstance(clipped, Rows)
    lengths = clipped.dense().double().flatten(1).norm(dim=1) * grid_step(bound)
    assert bool((lengths <= bound).all())


def test_a_mixture_never_leaves_the_device() -> None:
    algorithm = AnchorMF(prototypes=3)
    task = algorithm.broadcast(algorithm.init_server(SETTING), SHARD.clients, 1)
    # the server knows nothing but what is the same for all
    assert task.personal == {}
    private = algorithm.init_private(SETTING, SHARD)
    assert private.keys() == {"user"}
    report, after = respond(algorithm, NoMechanism(), task, SHARD, private, Key(0, 1))
    assert report.summed
    assert report.arrays.keys() == {"items"}
    assert after.keys() == {"user"}


def test_likes_of_alike_users_meet_and_others_do_not() -> None:
    text = torch.nn.functional.normalize(torch.randn(4, 6, generator=torch.Generator()), dim=1)
    algorithm = AnchorMF(prototypes=2, sharpness=50)
    shared = {"anchors": text[:2], "centre": text[:2].mean(0)}
    mixture = algorithm.mixture(shared, text[:2])
    torch.testing.assert_close(mixture, torch.eye(2), atol=1e-3, rtol=0)


def test_anchors_lie_where_profiles_do() -> None:
    clusters = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    noise = 0.1 * torch.randn(30, 2, generator=torch.Generator().manual_seed(3))
    points = clusters.repeat_interleave(10, 0) + noise
    centres = kmeans(points, 3, torch.Generator().manual_seed(5))
    nearest = torch.cdist(clusters, centres).amin(1)
    assert float(nearest.max()) < 0.2


def test_profiles_that_cannot_be_enumerated_are_parted_at_random() -> None:
    state = AnchorMF(prototypes=3).init_server(replace(SETTING, profiles=None))
    assert state["anchors"].shape == (3, SETTING.text_width)
    assert len(state["anchors"].unique(dim=0)) == 3


def test_row_caps_see_an_items_row_in_every_block() -> None:
    algorithm = AnchorMF(prototypes=3, dim=2)
    sent = torch.arange(5 * 60 * 2).view(5, 60, 2).float()
    view = algorithm.item_views({"items": sent}, SETTING, 1)["items"]
    assert view.shape == (5, 20, 3, 2)
    assert torch.equal(view[:, 7, 1], sent[:, 27])
