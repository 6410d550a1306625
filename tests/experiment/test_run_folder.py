"""The run folder refuses what would overwrite, and its files come back as they were written."""

import pytest
import torch

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build
from ufgraphfr.experiment.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ufgraphfr.experiment.run_folder import RunFolder

CPU = torch.device("cpu")


@pytest.fixture
def experiment(toy):
    return build(toy())


@pytest.fixture
def folder(tmp_path, experiment):
    made = RunFolder(tmp_path / "deep" / "run")
    made.check(experiment, resume=False)
    made.create(experiment)
    return made


def test_a_new_folder_says_that_it_holds_personal_data(folder):
    assert "personal data" in (folder.path / "PERSONAL_DATA.txt").read_text()
    assert folder.config.exists()


def test_an_unfinished_folder_needs_resume(folder, experiment):
    with pytest.raises(InputError, match=r"unfinished: go on with --resume.*--out"):
        folder.check(experiment, resume=False)
    folder.check(experiment, resume=True)


def test_a_finished_folder_is_shown_never_overwritten(folder, experiment):
    folder.write_json(folder.result, {})
    with pytest.raises(InputError, match=r"finished: show its result with --resume.*--out"):
        folder.check(experiment, resume=False)


@pytest.mark.parametrize("resume", [False, True])
def test_another_experiment_is_refused_and_the_difference_named(folder, toy, resume):
    other = build(toy(algorithm={"lr": 0.2}))
    with pytest.raises(InputError, match=r"algorithm\.lr is 0\.05 there, 0\.2 here.*--out"):
        folder.check(other, resume)
    with pytest.raises(InputError, match=r"algorithm\.\w+ is .*not set"):
        folder.check(build(toy() | {"algorithm": {"kind": "ease"}}), resume)


def test_a_name_is_not_a_difference(folder, toy):
    folder.check(build(toy(name="renamed")), resume=True)


def test_what_is_not_a_run_is_left_alone(tmp_path, experiment):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not empty and not a run"):
        RunFolder(tmp_path).check(experiment, resume=True)
    with pytest.raises(InputError, match="is a file"):
        RunFolder(tmp_path / "thesis.tex").check(experiment, resume=True)


def test_a_folder_that_was_being_made_is_made_anew(tmp_path, experiment):
    (tmp_path / ".config.toml.k2j3").write_text("na")
    RunFolder(tmp_path).check(experiment, resume=False)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, experiment):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write the run folder .*--out"):
        RunFolder(tmp_path / "file" / "run").create(experiment)


def test_metrics_are_cut_back_to_the_checkpoint(folder):
    for number in range(1, 4):
        folder.append_metrics({"round": number})
    with folder.metrics.open("a") as file:
        file.write('{"round": 4, "lo')
    folder.cut_metrics(2)
    assert folder.read_metrics() == [{"round": 1}, {"round": 2}]


def test_without_metrics_there_are_no_lines(folder):
    assert folder.read_metrics() == []
    folder.cut_metrics(0)
    assert folder.read_metrics() == []


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    shared = torch.rand(5, 3)
    server = {
        "items": shared,
        "before.items": shared,
        "view": shared.T,
        "wide": torch.rand(1, 3).expand(4, 3),
        "nobody": torch.zeros(0, 3),
        "known": torch.tensor([True, False]),
        "index": torch.arange(4),
    }
    kept = Checkpoint(7, 5, 0.1 + 0.2, server, {"user": torch.rand(6, 2)})
    path = tmp_path / "checkpoint" / "latest.safetensors"
    save_checkpoint(path, kept)
    found = load_checkpoint(path, CPU)
    assert (found.round, found.best_round, found.best_value) == (7, 5, 0.1 + 0.2)
    for part in ("server", "private"):
        wrote, read = getattr(kept, part), getattr(found, part)
        assert wrote.keys() == read.keys()
        for name, value in wrote.items():
            assert read[name].dtype == value.dtype
            assert torch.equal(read[name], value)
    assert [file.name for file in path.parent.iterdir()] == ["latest.safetensors"]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_checkpoint_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "latest.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"latest\.safetensors is not a readable checkpoint"):
        load_checkpoint(path, CPU)


def test_two_processes_cannot_run_in_one_folder(folder):
    other = RunFolder(folder.path)
    with folder.locked(), pytest.raises(InputError, match="another process"), other.locked():
        pass
    with other.locked():
        pass
