"""Attacks find what is known to leak, and nothing where nothing leaks."""

from dataclasses import replace

import pytest
import torch

from ufgraphfr.audit.attacks import ATTACKS
from ufgraphfr.audit.attacks._rows import moved, side
from ufgraphfr.audit.attacks.attributes import dictionary, direction
from ufgraphfr.audit.attacks.imia import f1
from ufgraphfr.audit.recording import Published, Recording, Upload
from ufgraphfr.data.templates import person


def figures(kind, recording):
    """Values by measure."""
    return {f.measure: f for f in ATTACKS.build(kind, {}, "test").run(recording)}


def value(kind, recording, measure, view="upload"):
    findings = ATTACKS.build(kind, {}, "test").run(recording)
    found = [f for f in findings if f.measure.endswith(measure) and f.view == view]
    assert len(found) == 1, [f.measure for f in findings]
    return found[0].value


@pytest.mark.parametrize("name", ["fedmf", "as-coded", "ufgraphformer"])
def test_uploads_show_the_history(name, recorded):
    recording = recorded(name)
    assert value("support", recording, "recall") == 1.0
    assert value("support", recording, "AUC") > 0.8
    assert value("sign", recording, "AUC") > 0.98
    assert value("imia", recording, "F1") > 0.9


def test_the_graph_is_the_history(recorded):
    recording = recorded("ufgraphformer")
    assert value("support", recording, "precision") == 1.0
    assert {upload.round for upload in recording.uploads if "graph.pairs" in upload.tables} == {1}


def test_rounds_intersect_to_the_history(recorded):
    recording = recorded("fedmf")
    found = figures("intersection", recording)
    assert found["own items from rows moved each time: recall"].value == 1.0
    once = value("support", recording, "precision")
    assert found["own items from rows moved each time: precision"].value > max(0.6, 2 * once)


def test_held_out_items_are_marked_only_by_leaky_negatives(recorded):
    assert value("held-out", recorded("as-coded"), "recall") == 1.0
    assert value("held-out", recorded("as-coded"), "AUC") > 0.95
    assert value("held-out", recorded("fedmf"), "AUC") == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("name", ["as-coded", "ufgraphformer"])
def test_the_text_layer_is_the_profile(name, recorded):
    assert value("attributes", recorded(name), "exactly") == 1.0


def test_without_a_text_layer_there_is_nothing_to_attack(recorded):
    assert figures("attributes", recorded("fedmf")) == {}


def test_replies_are_those_of_the_run_going_on(recorded):
    recording = recorded("fedmf")
    assert sorted({upload.round for upload in recording.uploads}) == list(range(4, 12))
    assert len(recording.uploads) == 8 * 40
    assert len(recording.published) == 8
    # what was published is the sum of everybody's uploads, so at least as far from zero
    assert set(recording.published[0].tables) == {"items"}


def test_per_client_replies_are_not_published(recorded):
    assert all(not public.tables for public in recorded("as-coded").published)


def test_one_direction_has_two_sides():
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(5, generator=generator)
    errors = torch.tensor([-0.9, 0.2, 0.3, -0.8, 0.1, 0.4, 0.2, 0.0])
    table = -errors[:, None] * user + 1e-4 * torch.randn(8, 5, generator=generator)
    table[7] = 0
    there = moved(table)[1]
    assert there.tolist() == [True] * 7 + [False]
    liked = side(table[there]) > 0
    assert liked.tolist() == [True, False, False, True, False, False, False]


def test_the_direction_of_rank_one_layers_is_found():
    generator = torch.Generator().manual_seed(1)
    text = torch.nn.functional.normalize(torch.randn(20, generator=generator), dim=0)
    layers = [torch.outer(torch.randn(6, generator=generator), text) for _ in range(5)]
    assert abs(float(direction(layers) @ text)) == pytest.approx(1, abs=1e-5)
    assert abs(float(direction(layers[:1]) @ text)) == pytest.approx(1, abs=1e-5)


def test_f1_by_hand():
    truth = torch.tensor([True, True, True, False, False])
    guessed = torch.tensor([True, False, False, True, False])
    assert f1(guessed, truth) == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert f1(~truth, truth) == 0.0
    assert f1(torch.zeros(5, dtype=torch.bool), truth) == 0.0


def test_the_dictionary_holds_every_combination(recorded):
    dataset = recorded("fedmf").prepared.dataset
    profiles, texts = dictionary(dataset)
    assert set(texts) == set(dataset.users.texts)
    people = [
        {"age": "30", "gender": "male", "occupation": "writer"},
        {"age": "41", "gender": "female", "occupation": "lawyer"},
    ] * (dataset.interactions.n_users // 2)
    known = replace(dataset.users, profiles=tuple(people), texts=tuple(map(person, people)))
    profiles, texts = dictionary(replace(dataset, users=known))
    assert len(profiles) == len(set(texts)) == 8
    assert person(people[0]) in texts


def synthetic(recorded, move) -> Recording:
    """A recording whose published sums are made up: ``move(round, cohort)`` gives the table."""
    recording = recorded("fedmf")
    published = []
    for number in range(1, 41):
        cohort = recording.victims[torch.arange(40) % 4 != number % 4]
        table = move(recording, number, cohort)
        published.append(Published(number, cohort, {"items": table}, {}))
    return replace(recording, published=tuple(published), uploads=())


def test_a_broadcast_that_follows_its_cohort_is_told(recorded):
    def follows(recording, _, cohort):
        return sum(recording.history(int(c)).float() for c in cohort)[:, None].expand(-1, 3)

    def popular(recording, number, _):
        generator = torch.Generator().manual_seed(number)
        everyone = sum(recording.history(int(c)).float() for c in recording.victims)
        return everyone[:, None] + torch.randn(60, 3, generator=generator)

    measure = "more with the client: AUC"
    assert value("intersection", synthetic(recorded, follows), measure, "broadcast") > 0.65
    blind = value("intersection", synthetic(recorded, popular), measure, "broadcast")
    assert blind == pytest.approx(0.5, abs=0.05)


def test_an_upload_knows_its_parts(recorded):
    upload = recorded("ufgraphformer").uploads[-1]
    assert isinstance(upload, Upload)
    assert upload.tables["gradient.item.bias"].shape == (60, 1)
    assert upload.texts["gradient.joint.weight"].shape == (8, 16)


def test_poisoning_is_stopped_by_the_default_defence(recorded):
    found = figures("poisoning", recorded("fedmf"))
    assert found["push-row against none: ER@10"].value > 0.5
    assert found["push-row against row-cap: ER@10"].value < 0.2
