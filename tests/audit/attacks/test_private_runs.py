"""Audits of runs under a budget: the broadcast passes, and what a server sees is said."""

import pytest

from ufgraphfr.audit.report import read_audit
from ufgraphfr.audit.run import audit
from ufgraphfr.experiment import build, execute
from ufgraphfr.privacy.accounted import accounting

TOY = {
    "name": "private",
    "seed": 3,
    "data": {"kind": "synthetic", "users": 60, "items": 60, "groups": 3, "interactions": 10},
    "text": {"kind": "hashing", "width": 16},
}
FEDMF = {"algorithm": {"kind": "fedmf", "dim": 4}, "federation": {"rounds": 4}}


@pytest.fixture
def run(tmp_path):
    def finished(name, **privacy):
        values = {**TOY, **FEDMF, "privacy": {"kind": "central-jdp", "clip": 0.5, **privacy}}
        for _ in execute(build(values), tmp_path / name, device="cpu"):
            pass
        return tmp_path / name

    return finished


def audited(folder, attacks, **options):
    """An audit, once more if it fails: by chance each bound is too high once in a thousand."""
    done = audit(folder, attacks, **options)
    return audit(folder, attacks, **options) if done.failed else done


def verdicts(done):
    return {(x.attack, x.finding.view, x.finding.measure): x.verdict for x in done.lines}


@pytest.mark.parametrize("epsilon", [1.0, pytest.param(8.0, marks=pytest.mark.slow)])
def test_the_broadcast_keeps_its_promise_and_uploads_do_not(run, epsilon):
    folder = run("server", epsilon=epsilon)
    before = (folder / "ledger.jsonl").read_bytes()
    done = audited(folder, ("canaries", "intersection", "sign"), victims=20)
    assert (folder / "ledger.jsonl").read_bytes() == before
    found = verdicts(done)
    assert found["canaries", "broadcast", "canaries told apart: AUC"] == "pass"
    assert found["canaries", "broadcast", "epsilon, Gaussian estimate"] == "pass"
    assert found["sign", "upload", "liked among moved rows: AUC"] == "recovered"
    assert done.rounds == 4
    assert not done.failed
    assert "untrusted server) recovers" in " ".join(done.summary())


@pytest.mark.slow
def test_the_gaussian_estimate_comes_near_what_was_promised(run):
    done = audited(run("server", epsilon=8.0), ("canaries",))
    (figure,) = [x.finding for x in done.lines if x.finding.measure.endswith("Gaussian estimate")]
    # an audit that sees far less than is there would pass any mechanism
    assert 5.0 < figure.value < 10.5
    assert figure.low <= 8.0


@pytest.mark.slow
def test_with_data_holders_trusted_a_server_sees_noised_sums_only(run):
    done = audited(run("shard", epsilon=8.0, trust="shard", shards=3), ("canaries", "sign"))
    found = verdicts(done)
    assert found["canaries", "upload", "canaries told apart: AUC"] == "pass"
    assert found["canaries", "broadcast", "canaries told apart: AUC"] == "pass"
    assert not any(attack == "sign" for attack, *_ in found)
    assert "noised sums only" in " ".join(done.summary())
    values = {x.finding.view: x.finding.value for x in done.lines if "AUC" in x.finding.measure}
    # one holder's noise hides its own users as well as the promise says; three hide them better
    assert values["broadcast"] < values["upload"]


@pytest.mark.parametrize(
    ("epsilon", "too_little"), [(1.0, 4), pytest.param(8.0, 2, marks=pytest.mark.slow)]
)
def test_a_mechanism_with_too_little_noise_for_its_claim_is_caught(
    run, monkeypatch, epsilon, too_little
):
    folder = run("server", epsilon=epsilon)
    honest = accounting.multipliers
    monkeypatch.setattr(
        accounting, "multipliers", lambda *a: tuple(z / too_little for z in honest(*a))
    )
    assert audit(folder, ("canaries",)).failed
    assert read_audit(folder / "personal" / "audit.json")["failed"]
