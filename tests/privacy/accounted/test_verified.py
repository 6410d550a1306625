"""A guarantee is what follows from noise and releases, whatever the file says."""

import hashlib
import json

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.releases import Release
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.privacy.accounted.ledger import START, Ledger
from ufgraphfr.privacy.accounted.statement import statement
from ufgraphfr.privacy.accounted.verified import verified
from ufgraphfr.privacy.base import Participation, ReleasePlan

KINDS = {
    "central": ("central-jdp", {}, None),
    "shards": ("central-jdp", {"trust": "shard", "shards": 3}, None),
    "poisson": ("central-jdp", {}, 0.2),
    "local": ("ldp", {}, None),
}
POISSON = pytest.param("poisson", marks=pytest.mark.slow)  # its accountant takes a while


def ledger_at(path, kind="central") -> Ledger:
    name, keys, rate = KINDS[kind]
    times = 1 if name == "ldp" else 2
    participation = Participation(Release("update", 1, times, norm=1.0), times, rate, 100)
    ledger = Ledger(path)
    mechanism = MECHANISMS.build(name, {"epsilon": 2} | keys, "[privacy]")
    mechanism.calibrate(ReleasePlan((participation,), 1000, True, "fedmf"), ledger)
    part = ledger.guarantee["parts"]["update"]
    for number in range(1, times + 1):
        ledger.spend("update", number, clip=1.0, noise=part["noise_multiplier"])
    return ledger


def chained_anew(path, change) -> None:
    """Rewrite the file as somebody would who knows how lines are chained."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    change(entries)
    last, lines = START, []
    for entry in entries:
        line = json.dumps(entry | {"previous": last}, sort_keys=True)
        lines.append(line + "\n")
        last = hashlib.sha256(line.encode()).hexdigest()
    path.write_text("".join(lines))


def claims(**values):
    return lambda entries: entries[0]["claim"].update(values)


def part(**values):
    return lambda entries: entries[0]["claim"]["parts"]["update"].update(values)


def once_more(entries):
    entries.append({"spend": entries[-1]["spend"] | {"round": 3}})


ALTERED = {
    "another epsilon": (claims(epsilon=0.1), "epsilon = 0.1 is claimed, where its noise gives 2"),
    "another replace-one": (claims(epsilon_replace_one=0.1), "epsilon_replace_one = 0.1"),
    "another delta": (claims(delta=1e-9), "where its noise gives"),
    "a delta for everybody": (claims(delta=0.01), "above 1 / .10 clients."),
    "fewer participations": (part(participations=1), "where its noise gives"),
    "less noise": (part(noise_multiplier=1.0), "where its noise gives"),
    "no kind": (lambda entries: entries[0]["claim"].pop("kind"), "cannot be read"),
    "a release more": (once_more, "3 releases of 'update', where 2 were promised"),
    "a release of less noise": (
        lambda entries: entries[-1]["spend"].update(noise=0.1),
        "with less noise than promised",
    ),
    "a release of something else": (
        lambda entries: entries[-1]["spend"].update(part="histories"),
        "'histories' was released, and never promised",
    ),
    "a round twice": (lambda entries: entries[-1]["spend"].update(round=1), "paid for twice"),
}


@pytest.mark.parametrize("kind", ["central", "shards", POISSON, "local"])
def test_an_honest_ledger_holds(tmp_path, kind) -> None:
    ledger = ledger_at(tmp_path / "ledger.jsonl", kind)
    assert verified(Ledger(tmp_path / "ledger.jsonl")) == ledger.guarantee


@pytest.mark.parametrize(("change", "message"), ALTERED.values(), ids=ALTERED)
def test_an_altered_ledger_is_refused_though_its_lines_are_chained(
    tmp_path, change, message
) -> None:
    ledger_at(tmp_path / "ledger.jsonl")
    chained_anew(tmp_path / "ledger.jsonl", change)
    with pytest.raises(InputError, match=message):
        statement(Ledger(tmp_path / "ledger.jsonl"))


@pytest.mark.parametrize("kind", [POISSON, "local"])
def test_so_is_one_with_secret_cohorts_or_local_noise(tmp_path, kind) -> None:
    ledger_at(tmp_path / "ledger.jsonl", kind)
    chained_anew(tmp_path / "ledger.jsonl", claims(epsilon=1.9))
    with pytest.raises(InputError, match=r"epsilon = 1\.9 is claimed"):
        statement(Ledger(tmp_path / "ledger.jsonl"))
