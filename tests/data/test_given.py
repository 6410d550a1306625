"""A split that the data bring along: by files, by a column, and what is wrong with either."""

import json
from pathlib import Path

import numpy as np
import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.given import given
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.experiment import config
from ufgraphfr.experiment.prepare import prepare
from ufgraphfr.experiment.runner import execute

FILES = {
    "train.txt": "a 1 2 3\nb 2 3 5\nd 4 1\n",
    "valid.txt": "a 4\nc 1 7 8\n",
    "test.txt": "a 5 6\nb 1\nd 6 5 2\n",
}
PARTS = ("train", "validation", "test")


def written(folder: Path) -> dict[str, object]:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return {"interactions": list(FILES), "layout": "list", "parts": list(PARTS)}


def items(names: tuple[str, ...], ids: np.ndarray) -> list[str]:
    return sorted(names[item] for item in ids if item >= 0)


def test_files_say_who_trains_on_what_and_is_asked_for_what(tmp_path: Path) -> None:
    data = SOURCES.build("table", written(tmp_path), "[data]").load(tmp_path)
    split = given(data.interactions)
    users, names = data.users.names, data.catalogue.items
    trained = {
        users[user]: items(names, split.train[split.ptr[user] : split.ptr[user + 1]])
        for user in split.warm
    }
    assert trained == {"a": ["1", "2", "3"], "b": ["2", "3", "5"], "d": ["1", "4"]}
    asked = {
        part: {
            users[user]: items(names, targets)
            for user, targets in zip(split.asked(part), split.targets(part), strict=True)
        }
        for part in ("validation", "test")
    }
    assert asked["validation"] == {"a": ["4"]}
    assert asked["test"] == {"a": ["5", "6"], "b": ["1"], "d": ["2", "5", "6"]}
    known = dict(zip(users, split.known.tolist(), strict=True))
    assert (known["a"], known["b"], known["d"]) == (4, 3, 2)


def test_a_column_says_the_same(tmp_path: Path) -> None:
    from_files = SOURCES.build("table", written(tmp_path), "[data]").load(tmp_path)
    lines = [
        f"{line.split()[0]},{item},{part} "
        for part, text in zip(PARTS, FILES.values(), strict=True)
        for line in text.splitlines()
        for item in line.split()[1:]
    ]
    (tmp_path / "all.csv").write_text("\n".join(["user,item,fold", *lines]) + "\n")
    keys = {"interactions": "all.csv", "columns": {"part": "fold"}}
    from_column = SOURCES.build("table", keys, "[data]").load(tmp_path)
    one, other = from_files.interactions, from_column.interactions
    assert one.part is not None
    assert other.part is not None
    assert sorted(one.part.tolist()) == sorted(other.part.tolist())
    for part in ("validation", "test"):
        found = [
            items(data.catalogue.items, given(data.interactions).targets(part).flatten())
            for data in (from_files, from_column)
        ]
        assert found[0] == found[1]


def test_the_parts_are_of_the_digest(tmp_path: Path) -> None:
    keys = written(tmp_path)
    digests = {
        SOURCES.build("table", keys | {"parts": parts}, "[data]").load(tmp_path).digest
        for parts in ([], list(PARTS), ["train", "train", "test"])
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parts": ["train", "test"]}, "names 2 parts for 3 files"),
        ({"columns": {"part": "fold"}}, "both say how the data are split"),
        ({"parts": []}, "does not say what is trained on"),
        ({"parts": ["train", "train", "train"]}, "has items of both 'train' and 'test'"),
    ],
)
def test_what_is_not_said_is_asked_for(
    tmp_path: Path, keys: dict[str, object], message: str
) -> None:
    source = SOURCES.build("table", written(tmp_path) | keys, "[data]")
    with pytest.raises(InputError, match=message):
        given(source.load(tmp_path).interactions)


def test_another_word_in_the_column_is_a_bad_row(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("user,item,fold\na,1,train\na,2,dev\na,3,test\n")
    keys = {"interactions": "all.csv", "columns": {"part": "fold"}}
    with pytest.raises(InputError, match=r"line 3: .*is none of train, validation, test"):
        SOURCES.build("table", keys, "[data]").load(tmp_path)


def test_an_experiment_names_it(tmp_path: Path) -> None:
    values = {
        "data": {"kind": "table", **written(tmp_path)},
        "protocol": {"split": "given"},
        "text": {"kind": "hashing"},
    }
    prepared = prepare(config.build(values), tmp_path)
    assert len(prepared.test.clients) == 3
    assert "targets" not in prepared.facts["left_out"]
    for protocol in ({"targets": 2}, {"cold_users": 0.5}, {"train_until": 0.5}):
        with pytest.raises(InputError, match="|".join(protocol)):
            config.build(values | {"protocol": {"split": "given", **protocol}})


def test_a_sample_of_users_is_asked_where_it_is_named(tmp_path: Path) -> None:
    values = {
        "data": {"kind": "table", **written(tmp_path)},
        "protocol": {"split": "given"},
        "text": {"kind": "hashing"},
        "evaluation": {"users": 2},
    }
    prepared = prepare(config.build(values), tmp_path)
    assert len(prepared.test.clients) == 2
    assert set(prepared.validation.clients.clients.tolist()) <= set(
        prepared.test.clients.clients.tolist()
    )
    assert len(prepared.split.warm) == 3


def test_without_validation_the_last_round_is_the_model(tmp_path: Path) -> None:
    values = {
        "data": {"kind": "table", **written(tmp_path), "parts": ["train", "train", "test"]},
        "protocol": {"split": "given"},
        "text": {"kind": "hashing"},
        "algorithm": {"kind": "graph-filter", "rank": 2, "operator": {"rounds": 2}},
        "federation": {"rounds": 4},
        "evaluation": {"every": 2, "metrics": ["joint-recall@2"]},
    }
    done = list(execute(config.build(values), tmp_path / "run", tmp_path))
    assert [step.validation is None for step in done] == [True, False, True, False]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["split"], result["best_round"]) == ("given", 4)
    assert result["validation"]["full"].keys() == {"coverage@10"}
    assert 0 <= result["test"]["full"]["joint-recall@2"] <= 1
