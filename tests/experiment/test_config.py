"""Experiments are checked key by key, and written as they are read."""

import re
import tomllib

import pytest
import tomli_w

from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.baselines import BASELINES
from ufgraphfr.core.errors import InputError
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.experiment import build, read
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.text import ENCODERS

KINDS = [
    *(("data", kind) for kind in SOURCES.kinds),
    *(("text", kind) for kind in ENCODERS.kinds),
    *(("algorithm", kind) for kind in (*ALGORITHMS.kinds, *BASELINES.kinds)),
    *(("privacy", kind) for kind in MECHANISMS.kinds),
]
NEEDED = {
    "table": {"interactions": "likes.csv"},
    "central-jdp": {"epsilon": 1},
    "ldp": {"epsilon": 1},
}


def written(tmp_path, text):
    path = tmp_path / "trial.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        # each message names the value, the rule and the mend
        ("seeds=1", ["no key 'seeds'", "did you mean 'seed'?"]),
        ("algorithms.lr=1", ["no key 'algorithms'", "did you mean 'algorithm'?"]),
        ("algorithm.learning_rate=1", ["[algorithm] has no key 'learning_rate'", "valid:"]),
        ("algorithm.batchsize=1", ["did you mean 'batch_size'?"]),
        ("data.user=5", ["[data] has no key 'user'", "did you mean 'users'?"]),
        ("protocol.spilt='x'", ["[protocol] has no key 'spilt'", "did you mean 'split'?"]),
        ("federation.round=3", ["[federation] has no key 'round'", "did you mean 'rounds'?"]),
        ("evaluation.evry=3", ["[evaluation] has no key 'evry'", "did you mean 'every'?"]),
        ("text.widht=3", ["[text] has no key 'widht'", "did you mean 'width'?"]),
        ("privacy.clip=3", ["[privacy] has no key 'clip'"]),
        ("data.kind=syntetic", ["no data set 'syntetic'", "did you mean 'synthetic'?"]),
        ("text.kind=hash", ["no text encoder 'hash'", "did you mean 'hashing'?"]),
        ("privacy.kind=nome", ["no privacy mechanism 'nome'", "did you mean 'none'?"]),
        ("algorithm.kind=fedmv", ["no algorithm or baseline 'fedmv'", "did you mean 'fedmf'?"]),
        ("algorithm.kind=popularty", ["did you mean 'popularity'?", "fedmf"]),
        ("algorithm.kind=nowhere.Mine", ["cannot import", "nowhere.Mine", "Python path"]),
        ("algorithm.kind=json.JSONDecoder", ["json.JSONDecoder", "not a subclass of Algorithm"]),
        ("evaluation.baselines=['eas']", ["no baseline 'eas'", "did you mean 'ease'?"]),
        ("evaluation.baselines='ease'", ["baselines = 'ease'", "must be a list"]),
        ("evaluation.table=local", ["table = 'local'", "fedmf has no", "leave the key out"]),
        ("evaluation.every=0", ["[evaluation] every = 0", "greater than or equal to 1"]),
        ("federation.rounds=0", ["[federation] rounds = 0", "greater than or equal to 1"]),
        ("federation.cohort=2.5", ["cohort = 2.5", "must be whole"]),
        ("federation.sampling=coin", ["sampling = 'coin'", "'fixed', 'poisson' or 'rotation'"]),
        ("protocol.negatives=leaky", ["negatives = 'leaky'", "'honest' or 'legacy-leaky'"]),
        ("protocol.cold_users=1", ["cold_users = 1", "less than 1"]),
        ("protocol.cold_items=1", ["cold_items = 1", "less than 1"]),
        (
            "protocol.split=by-date",
            ["split = 'by-date'", "'leave-one-out', 'global-time' or 'given'"],
        ),
        ("protocol.train_until=0.7", ["train_until", "go with split = 'global-time'"]),
        ("protocol.validate_until=1", ["validate_until = 1", "less than 1"]),
        ("algorithm.lr=fast", ["[algorithm] lr = 'fast'", "must be a number"]),
        ("algorithm.lr=inf", ["[algorithm] lr = inf", "finite"]),
        ("seed=-1", ["seed = -1", "from 0 to 2**63 - 1"]),
        ("seed=true", ["seed = True", "whole number"]),
        ("seed=one", ["seed = 'one'", "whole number"]),
        ("name=a/b", ["name = 'a/b'", "without '/'"]),
        ("name=..", ["name = '..'", "can name a folder"]),
        ("name=3", ["name = 3", "must be a string"]),
        ("data=3", ["'data' = 3 must be a table", "write [data]"]),
        ("seed.x=3", ["'seed' is a value, not a table"]),
        ("algorithm.lr", ["write KEY=VALUE"]),
        ("=3", ["write KEY=VALUE"]),
    ],
)
def test_bad_settings_are_named_with_rule_and_mend(tmp_path, toy, override, parts):
    path = written(tmp_path, tomli_w.dumps(toy()))
    with pytest.raises(InputError) as caught:
        read(path, (override,))
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.toml.*name a TOML file"):
        read(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"trial\.toml is not valid TOML: .*line 2"):
        read(written(tmp_path, "seed = 1\n[data\n"))


def test_overrides_take_toml_values_and_bare_words(tmp_path, toy):
    path = written(tmp_path, tomli_w.dumps(toy()))
    changes = ("algorithm.lr=0.25", "data.order=chain", "protocol.cold_users = 0.5", "name=other")
    experiment = read(path, changes, seed=7)
    assert experiment.model.lr == 0.25
    assert experiment.source.order == "chain"
    assert experiment.protocol.cold_users == 0.5
    assert (experiment.name, experiment.seed) == ("other", 7)


def test_a_run_is_named_after_its_file(tmp_path):
    assert read(written(tmp_path, "")).name == "trial"


def test_the_defaults_are_the_main_job():
    experiment = build({})
    kinds = [p.kind for p in (experiment.source, experiment.encoder, experiment.model)]
    assert kinds == ["ml-100k", "use", "ufgraphformer"]
    assert experiment.protocol.negatives == "honest"
    assert experiment.mechanism.kind == "none"


@pytest.mark.parametrize(("table", "kind"), KINDS)
def test_resolved_is_a_fixed_point_for_every_kind(toy, table, kind):
    first = build(toy() | {table: {"kind": kind, **NEEDED.get(kind, {})}})
    again = build(tomllib.loads(tomli_w.dumps(first.resolved())))
    assert again == first
    assert again.resolved() == first.resolved()
    assert again.digest == first.digest


def test_resolved_says_every_setting(toy):
    resolved = build(toy()).resolved()
    assert resolved["algorithm"]["kind"] == "fedmf"
    assert resolved["algorithm"]["negatives"] == 4
    assert resolved["protocol"]["negatives"] == "honest"
    assert resolved["federation"]["cohort"] == 1.0


def test_only_global_time_has_dates(toy):
    with pytest.raises(InputError, match="go with split = 'global-time'"):
        build(toy(protocol={"train_until": 0.7}))
    dated = build(toy(protocol={"split": "global-time", "validate_until": 0.85}))
    assert (dated.protocol.train_until, dated.protocol.validate_until) == (0.8, 0.85)
    again = build(tomllib.loads(tomli_w.dumps(dated.resolved())))
    assert (again, again.digest) == (dated, dated.digest)


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"train_until": 0.95}, "train_until = 0.95 must be below validate_until = 0.9"),
        ({"cold_users": 0.1}, "cold_users = 0.1 goes with split = 'leave-one-out'"),
        ({"cold_items": 0.1}, "cold_items = 0.1 goes with split = 'leave-one-out'"),
    ],
)
def test_settings_that_do_not_go_with_global_time(toy, protocol, said):
    with pytest.raises(InputError, match=re.escape(said)):
        build(toy(protocol={"split": "global-time"} | protocol))


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ({"cold_fold": 1}, "cold_fold = 1: cold_users = 0.0 makes 1 fold(s)"),
        ({"cold_users": 0.2, "cold_fold": 5}, "cold_fold = 5: cold_users = 0.2 makes 5 fold(s)"),
        ({"cold_users": 0.2, "cold_least": 2}, "greater than or equal to 3"),
    ],
)
def test_folds_of_cold_users_that_there_are_not(toy, protocol, said):
    with pytest.raises(InputError, match=re.escape(said)):
        build(toy(protocol=protocol))
    assert build(toy(protocol={"cold_users": 0.2, "cold_fold": 4})).protocol.cold_fold == 4


def test_the_preset_of_the_published_code_survives_the_round_trip(toy):
    first = build(toy(algorithm={"kind": "ufgraphfr", "as_coded": True, "history": 5}))
    again = build(tomllib.loads(tomli_w.dumps(first.resolved())))
    assert again.model == first.model
    assert (again.model.history, again.model.relation) == (5, "distance")


def test_both_spellings_of_a_kind_are_one(toy):
    for kind in ("position_popularity", "local_only"):
        spelt = build(toy() | {"algorithm": {"kind": kind}})
        assert spelt.digest == build(toy() | {"algorithm": {"kind": kind.replace("_", "-")}}).digest


def test_evaluation_table_is_short_for_the_algorithms_key(toy):
    values = toy(algorithm={"kind": "ufgraphfr"}, evaluation={"table": "local"})
    assert build(values).model.evaluated_table == "local"


def test_the_digest_knows_settings_but_not_the_name(toy):
    digest = build(toy()).digest
    assert build(toy(name="other")).digest == digest
    assert build(toy(seed=4)).digest != digest
    assert build(toy(algorithm={"lr": 0.06})).digest != digest


def test_files_of_a_table_are_found_beside_the_experiment(tmp_path):
    (tmp_path / "likes.csv").write_text("user,item\n")
    text = '[data]\nkind = "table"\ninteractions = "likes.csv"\nusers = "elsewhere.csv"\n'
    experiment = read(written(tmp_path, text))
    assert experiment.source.interactions == "likes.csv", "it is written as it was"
    source = experiment.located_source()
    assert source.interactions == str(tmp_path / "likes.csv")
    assert source.users == "elsewhere.csv"
    named = tmp_path / "named"
    named.mkdir()
    (named / "likes.csv").write_text("user,item\n")
    assert experiment.located_source(named).interactions == str(named / "likes.csv")
