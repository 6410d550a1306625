"""Lists for anybody, their reasons, and lists of many users."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from ufgraphfr.algorithms.ufgraphformer.on_device.softmax_regression import SoftmaxRegression
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.missing import present
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.checkpoint import load_checkpoint, save_checkpoint
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.serve.items import Items
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Request

USERS, ITEMS, LIKES = 24, 60, 14
VALUES = {
    "seed": 3,
    "data": {"kind": "synthetic", "users": USERS, "items": ITEMS, "interactions": LIKES},
    "text": {"kind": "hashing", "width": 16},
    "algorithm": {"kind": "ufgraphformer", "dim": 8},
    "federation": {"rounds": 10},
}
KINDS = {
    "whole": {},
    "closed": {"algorithm": {"kind": "ufgraphformer", "transformer": False}},
    "private": {"privacy": {"kind": "central-jdp", "epsilon": 8.0}, "federation": {"rounds": 1}},
    "fused": {"algorithm": {"kind": "ease-markov"}},
    "baseline": {"algorithm": {"kind": "ease"}},
    "stateless": {"algorithm": {"kind": "fedrecon", "dim": 4}},
}
PERSONAL = {"personal": {"algorithm": {"kind": "fedmf", "dim": 4}}}


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A recommender of each kind of model, trained when it is first asked for."""
    found, folders = {}, {}

    def recommender(kind):
        if kind not in found:
            path = tmp_path_factory.mktemp(kind) / "run"
            list(execute(build(VALUES | (KINDS | PERSONAL)[kind]), path, device="cpu"))
            found[kind], folders[kind] = Recommender.open(path), path
        return found[kind]

    recommender.folders = folders
    return recommender


def folder_of(opened, kind):
    opened(kind)
    return opened.folders[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_history_and_profile_have_the_same_list(opened, kind):
    served = opened(kind)
    users = build(VALUES).source.load().users
    for number in range(0, USERS, 6):
        name = users.names[number]
        known = served.answer(Request(user=name, n=ITEMS))
        own = [each["item"] for each in served.named(known.history)]
        profile = users.profiles[number]
        same = served.answer(Request(history=own, profile=profile, n=ITEMS))
        scores = {each.item: each.score for each in known.recommended}
        assert scores == pytest.approx({e.item: e.score for e in same.recommended}, abs=1e-4)
        assert same.history == known.history


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 2, 13])
def test_shares_add_up_to_the_score(opened, kind, length):
    served = opened(kind)
    history = [f"i{place}" for place in range(length)]
    found = served.answer(Request(history=history, n=8, why=True)).recommended
    assert len(found) == 8
    for each in found:
        assert sum(each.shares.values()) == pytest.approx(each.score, abs=1e-4)
        assert each.facts["reason"] == each.reason
        assert bool(each.reason) == bool(each.shares)
        assert {one.item for one in each.because} <= set(history)
    plain = served.answer(Request(history=history, n=8)).recommended
    assert [each.item for each in plain] == [each.item for each in found]
    assert set(plain[0].facts) == {"rank", "item", "title", "score"}


def test_what_others_have_is_the_share_of_the_cold_alone(opened):
    served = opened("whole")
    items = [f"i{place}" for place in range(12)]
    cold = served.answer(Request(history=items[:2], why=True)).recommended[0]
    warm = served.answer(Request(history=items, why=True)).recommended[0]
    assert "prior" in cold.shares
    assert "prior" not in warm.shares


def test_an_items_effect_is_what_the_score_lacks_without_it(opened):
    served = opened("baseline")
    items = [f"i{place}" for place in range(6)]
    best = served.answer(Request(history=items, why=True)).recommended[0]
    strongest = best.because[0]
    rest = [item for item in items if item != strongest.item]
    others = served.answer(Request(history=rest, n=ITEMS)).recommended
    without = next(each.score for each in others if each.item == best.item)
    assert best.score - without == pytest.approx(strongest.effect, abs=1e-5)
    effects = [each.effect for each in best.because]
    assert effects == sorted(effects, reverse=True)
    assert best.reason.startswith(f"because of {strongest.title}")


def test_nothing_known_is_the_list_of_new_users(opened):
    served = opened("whole")
    answer = served.answer(Request())
    assert answer.notes == ["without a history: what new users are shown"]
    counts = torch.bincount(prepare(build(VALUES)).batch.items, minlength=ITEMS)
    first = served.items.known(each.item for each in answer.recommended)
    assert counts[first].float().mean() > counts.float().mean()


def test_what_is_listed_can_be_narrowed(opened):
    served = opened("whole")
    name, values = next(iter(served.catalogue.features.items()))
    value = values[0][0]
    having = {
        item for item, own in zip(served.catalogue.items, values, strict=True) if value in own
    }
    listed = served.answer(Request(history=["i0"], where={name: [value]}, n=ITEMS, seen=True))
    assert {each.item for each in listed.recommended} == having
    assert any("fewer than" in note for note in listed.notes)
    fewer = served.answer(Request(history=["i0"], exclude=["i1", "i2"], n=ITEMS)).recommended
    assert {each.item for each in fewer} == {f"i{n}" for n in range(3, ITEMS)}
    with pytest.raises(InputError, match="items have no feature 'gnre'"):
        served.answer(Request(where={"gnre": ["x"]}))
    with pytest.raises(InputError, match=f"no item has {name} = 'nought'"):
        served.answer(Request(where={name: ["nought"]}))


def test_what_is_unknown_is_named_with_what_is_near(opened):
    served = opened("whole")
    title = served.catalogue.titles[7]
    with pytest.raises(InputError, match=r"no item .* the nearest are"):
        served.answer(Request(history=[title + "x"]))
    with pytest.raises(InputError, match="profile 'shoe'"):
        served.answer(Request(profile={"shoe": "42"}))
    with pytest.raises(InputError, match="give a user alone"):
        Request(user="u1", history=["i0"])
    twice = served.answer(Request(history=["i7", title.upper()]))
    assert "items that the history names again, which count once: 1" in twice.notes
    assert twice.history == [7]


@pytest.mark.parametrize("kind", [*KINDS, "personal"])
def test_several_have_the_answers_that_each_has_alone(opened, kind):
    served, feature = opened(kind), next(iter(opened(kind).catalogue.features))
    profile = build(VALUES).source.load().users.profiles[0]
    (value, *_) = present(served.catalogue.features[feature][3])
    asked = [
        Request(user="u3", n=ITEMS),
        Request(history=["i9", "i2"], profile=profile, n=4, exclude=["i1"]),
        Request(user="u99"),
        Request(user="u1", where={feature: [value]}, seen=True, why=True),
        Request(history=["nothing"]),
        Request(),
        Request(user="u3", n=2),
    ]
    found = served.answers(asked)
    for request, together in zip(asked, found, strict=True):
        if isinstance(together, InputError):
            with pytest.raises(InputError) as told:
                served.answer(request)
            assert str(together) == str(told.value)
            continue
        alone = served.answer(request)
        scores = [each.score for each in alone.recommended]
        assert [each.score for each in together.recommended] == pytest.approx(scores, abs=1e-5)
        # so are the items, but for which of two that only rounding tells apart comes first
        whole = served.answer(replace(request, n=ITEMS)).recommended
        score_of = {each.item: each.score for each in whole}
        items = [each.item for each in together.recommended]
        assert len(set(items)) == len(items)
        assert [score_of[item] for item in items] == pytest.approx(scores, abs=1e-5)
        assert (together.history, together.notes) == (alone.history, alone.notes)
    assert sum(isinstance(each, InputError) for each in found) == (4 if kind == "personal" else 2)
    assert served.answers([]) == []


def test_what_all_requests_need_is_there_before_the_first(opened, monkeypatch):
    for kind in ("whole", "private", "personal"):
        fresh = Recommender.open(folder_of(opened, kind))
        fresh.warm()
        with monkeypatch.context() as patched:
            patched.setattr(SoftmaxRegression, "of", None)
            assert fresh.recommend("u1")


def test_similar_items_come_from_what_goes_together(opened):
    served = opened("baseline")
    (weights,) = served.answer(Request(history=["i3"], n=1)).recommended
    assert served.similar("i3", 1)[0].item == weights.item
    assert "i3" not in {each.item for each in opened("whole").similar("i3", ITEMS)}


def test_many_lists_are_those_of_each(opened):
    served = opened("whole")
    request = Request(n=4, exclude=["i5"])
    names = served.people.served()[::-1]
    rows = list(served.each(names, request))
    assert [row["user"] for row in rows] == [name for name in names for _ in range(4)]
    for name in names[:3]:
        alone = served.answer(Request(user=name, n=4, exclude=["i5"])).recommended
        own = [row for row in rows if row["user"] == name]
        assert [row["item"] for row in own] == [each.item for each in alone]
        assert [row["rank"] for row in own] == [1, 2, 3, 4]


def test_a_list_of_names_keeps_commas_in_titles(opened):
    catalogue = opened("whole").catalogue
    titles = ("The Good, the Bad", "Heat", "Heat, the Bad", *catalogue.titles[3:])
    items = Items(type(catalogue)(catalogue.items, titles))
    assert items.listed("i4, the good, the Bad ,Heat") == ["i4", "the good, the Bad", "Heat"]
    assert items.listed("Heat, the Bad") == ["Heat, the Bad"]
    assert items.listed('"i1",i2') == ["i1", "i2"]
    assert items.listed(" ") == []
    assert items.place("heat") == 1


def test_two_items_of_one_title_are_told_by_id(opened):
    catalogue = opened("whole").catalogue
    items = Items(type(catalogue)(catalogue.items, ("Emma", "Emma", *catalogue.titles[2:])))
    with pytest.raises(InputError, match=r"2 items are called 'emma': give an id \(i0, i1\)"):
        items.place("emma")


def test_facts_are_json(opened):
    found = opened("whole").answer(Request(history=["i0"], why=True)).recommended[0]
    assert json.loads(json.dumps(found.facts))["because"] is not None


def test_somebodys_profile_needs_no_encoder(opened, monkeypatch):
    """Loading the default one takes a second."""
    served = Recommender.open(folder_of(opened, "whole"))
    profile = build(VALUES).source.load().users.profiles[3]
    with_encoder = served.people.anybody(torch.tensor([1]), profile).text

    def loads(_):
        raise AssertionError("loaded")

    monkeypatch.setattr(type(served.people._encoder), "loaded", loads)
    fresh = Recommender.open(folder_of(opened, "whole"))
    assert torch.equal(fresh.people.anybody(torch.tensor([1]), profile).text, with_encoder)
    assert fresh.answer(Request()).recommended
    with pytest.raises(AssertionError, match="loaded"):
        fresh.people.warm()


def test_a_model_of_an_older_version_is_refused_in_a_line(opened, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(folder_of(opened, "whole"), folder)
    model = load_checkpoint(folder / "model.safetensors", torch.device("cpu"))
    del model.server["profile.map"]
    save_checkpoint(folder / "model.safetensors", model)
    with pytest.raises(InputError, match=r"no array 'profile.map', .*'ufgraphformer' ranks with"):
        Recommender.open(folder)
