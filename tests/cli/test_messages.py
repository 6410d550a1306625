"""What is wrong with a file is said in its own words: the value, the rule and the fix."""

import copy
import tomllib

import pytest

from ufgraphfr.cli.kinds import every
from ufgraphfr.core.describe import keys_of
from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import parse
from ufgraphfr.experiment import build
from ufgraphfr.experiment.settings import put

FOREIGN = ("Input should", "Extra inputs", "Field required", "valid dictionary", "instance of")
KEYS = [
    pytest.param(spec, key.name, id=f"{kind}.{key.name}")
    for _, kind, spec in every()
    for key in keys_of(spec)
]


def refusal(spec, values):
    """What is said of values; nothing if they are taken."""
    try:
        parse(spec, values, "[here]")
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("spec", "key"), KEYS)
def test_no_key_answers_a_wrong_value_in_foreign_words(spec, key):
    """Lists of tables are wrong everywhere; where they are not refused they say nothing."""
    for wrong in ([[{}]], -1.5, "nothing of the kind"):
        values = {}
        put(values, key, wrong)
        said = refusal(spec, values)
        assert not any(words in said for words in FOREIGN), said


@pytest.mark.parametrize(("spec", "key"), [each for each in KEYS if "." in each.values[1]])
def test_a_nested_table_offers_its_nearest_key(spec, key):
    values, close = {}, f"{key}_"
    put(values, close, 1)
    with pytest.raises(InputError) as refused:
        parse(spec, values, "[here]")
    table, _, name = key.rpartition(".")
    said, unknown = str(refused.value), f"[here.{table}] has no key '{name}_'"
    assert unknown in said
    assert name in said.partition(unknown)[2]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (
            "algorithm.graph.round = 3",
            "[algorithm.graph] has no key 'round': did you mean 'rounds'?",
        ),
        ("algorithm.adam.lr = -1", "[algorithm] adam.lr = -1: must be a number, greater than 0"),
        ("algorithm.graph = true", "[algorithm] graph = True: must be a table or false"),
        (
            "federation.rounds = 1.5",
            "rounds = 1.5: must be a whole number, greater than or equal to 1",
        ),
        ("federation.sampling = 'fixd'", "did you mean 'fixed'?"),
        ("data.profile_values.age = 3", "profile_values.age = 3: must be a list of"),
        ("privacy.kind = 'central-jdp'", "epsilon is not set, and has no default: give it as"),
        (
            "federation.adversary = { kind = 'push-row', share = 2 }",
            "[federation.adversary] share = 2: must be a number",
        ),
    ],
)
def test_value_rule_and_fix(file, said):
    values = tomllib.loads(file)
    if "graph" in file or "adam" in file:
        values["algorithm"]["kind"] = "ufgraphformer"
    with pytest.raises(InputError) as refused:
        build(copy.deepcopy(values))
    assert said in str(refused.value)


def test_an_empty_file_is_the_flagship():
    experiment = build({})
    assert experiment.model.kind == "ufgraphformer"
    assert "federation.rounds" in experiment.auto
