"""A private run that is killed at any point releases what it paid for, once."""

import hashlib
import signal
import subprocess
import sys

import pytest
import tomli_w
import torch
from safetensors.torch import load_file

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment import build, execute
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.ledger import Ledger

PRIVATE = {"kind": "central-jdp", "epsilon": 4, "delta": 1e-4, "clip": 0.5}
ONE_ROUND = {"algorithm": {"kind": "ufgraphformer"}, "federation": {"rounds": 1}}
LOCAL = ONE_ROUND | {"privacy": {"kind": "ldp", "epsilon": 4, "delta": 1e-4}}

MOMENTS = {
    "while noise is drawn": "privacy.accounted.gaussian.NoisedSums._noise",
    "before the sum is kept": "experiment.outbox.Outbox._keep",
    "before it is paid for": "privacy.accounted.ledger.Ledger.spend",
    "after it is paid for": "privacy.accounted.gaussian.NoisedSums.resume",
    "before the round's line": "experiment.run_folder.RunFolder.append_metrics",
    "before the checkpoint": "experiment.training._keep",
    "before the result": "experiment.runner.write_result",
}


class Killed(BaseException):
    """Nothing in the code catches it."""


def killed_at(moment, values, folder, monkeypatch, after=0):
    """Run until a function is called for the next time after some rounds."""

    def killed(*_, **__):
        raise Killed

    steps = execute(build(values), folder, device="cpu")
    for _ in range(after):
        next(steps)
    with monkeypatch.context() as patch:
        patch.setattr(f"ufgraphfr.{MOMENTS[moment]}", killed)
        with pytest.raises(Killed):
            list(steps)


def resumed(values, folder):
    return [step.round for step in execute(build(values), folder, resume=True, device="cpu")]


def outbox(folder):
    path = folder / "personal" / "outbox.safetensors"
    return load_file(path) if path.exists() else None


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("model", [ONE_ROUND | {"privacy": PRIVATE}, LOCAL], ids=["central", "ldp"])
def test_the_only_round_goes_on_with_what_it_paid_for(toy, tmp_path, monkeypatch, moment, model):
    values, folder = toy(**model), tmp_path / "run"
    killed_at(moment, values, folder, monkeypatch)
    before, paid = outbox(folder), Ledger(folder / "ledger.jsonl").spends
    resumed(values, folder)
    after, spends = outbox(folder), Ledger(folder / "ledger.jsonl").spends
    assert [spend["round"] for spend in spends] == [1]
    if paid:
        assert spends == paid
    if before is not None:
        assert all(torch.equal(before[name], after[name]) for name in before)
    released = RunFolder(folder).load_model(torch.device("cpu"))
    assert released.round == 1
    if "popularity" in after:
        assert torch.equal(released.server["counts"], after["popularity"].flatten())


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("clip", [0.5, "adaptive"])
def test_a_later_round_goes_on_with_what_it_paid_for(toy, tmp_path, monkeypatch, moment, clip):
    """With noise that can be drawn again the run is the uninterrupted one, to the last digit."""
    data = {"users": 200}
    seeded = PRIVATE | {"seeded_noise": True, "clip": clip, "epsilon": 40}
    values = toy(privacy=seeded, data=data, federation={"rounds": 3})
    whole, folder = tmp_path / "whole", tmp_path / "run"
    list(execute(build(values), whole, device="cpu"))
    killed_at(moment, values, folder, monkeypatch, after=1)
    resumed(values, folder)
    name = "model.safetensors"
    assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert Ledger(folder / "ledger.jsonl").spends == Ledger(whole / "ledger.jsonl").spends
    clips = [spend["clip"] for spend in Ledger(folder / "ledger.jsonl").spends]
    assert (len(set(clips)) > 1) == (clip == "adaptive")


def test_a_payment_names_what_was_kept(toy, run):
    folder = run(toy(**ONE_ROUND, privacy=PRIVATE))
    kept = (folder / "personal" / "outbox.safetensors").read_bytes()
    (spend,) = Ledger(folder / "ledger.jsonl").spends
    assert spend["reply"] == hashlib.sha256(kept).hexdigest()


@pytest.mark.parametrize("lost", ["removed", "of another run", "cut short"])
def test_another_sum_than_the_one_paid_for_is_never_released(toy, tmp_path, monkeypatch, lost):
    values, folder = toy(**ONE_ROUND, privacy=PRIVATE), tmp_path / "run"
    killed_at("after it is paid for", values, folder, monkeypatch)
    path = folder / "personal" / "outbox.safetensors"
    if lost == "removed":
        path.unlink()
    elif lost == "cut short":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        killed_at("after it is paid for", values, tmp_path / "other", monkeypatch)
        path.write_bytes((tmp_path / "other" / "personal" / path.name).read_bytes())
    with pytest.raises(InputError, match="its only release is paid for and lost"):
        resumed(values, folder)


@pytest.mark.slow
def test_a_process_that_is_killed_between_payment_and_release(toy, tmp_path):
    values, folder = toy(**ONE_ROUND, privacy=PRIVATE), tmp_path / "run"
    file = tmp_path / "toy.toml"
    file.write_text(tomli_w.dumps(values))
    script = f"""
import os, signal, sys
from ufgraphfr.privacy.accounted.gaussian import NoisedSums
NoisedSums.resume = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from ufgraphfr.cli.main import main
sys.argv = ["ufgraphfr", "run", {str(file)!r}, "--out", {str(folder)!r}, "--quiet"]
main()
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    kept = (folder / "personal" / "outbox.safetensors").read_bytes()
    assert resumed(values, folder) == [1]
    assert (folder / "personal" / "outbox.safetensors").read_bytes() == kept
    assert len(Ledger(folder / "ledger.jsonl").spends) == 1
