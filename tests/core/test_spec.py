"""Hyper-parameters refuse what they do not know; registries find parts by file name."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.spec import Registry, Spec, parse
from ufgraphfr.experiment import build


class Inner(Spec):
    depth: int = 1


class Sample(Spec):
    rounds: int = Field(default=10, ge=1)
    lr: float = 0.1
    inner: Inner = Inner()


class Moved(Spec):
    renamed: ClassVar[dict[str, str]] = {"speed": "lr", "deep": "inner.depth"}

    lr: float = 0.1
    inner: Inner = Inner()


class Outer(Spec):
    table: Moved | bool = False


FILES = {
    "__init__.py": "",
    "base.py": """
from abc import ABC, abstractmethod
from ufgraphfr.core.spec import Spec

class Shape(Spec, ABC):
    size: int = 1

    @abstractmethod
    def area(self) -> int: ...
""",
    "_helper.py": "",
    "house/__init__.py": "",
    "house/roof.py": "",
    "house/model.py": """
from kit.base import Shape

class House(Shape):
    def area(self) -> int:
        return 3
""",
    "helpers/__init__.py": "",
    "square.py": """
from abc import abstractmethod
from kit.base import Shape

class Cornered(Shape):
    @abstractmethod
    def corners(self) -> int: ...

class Square(Cornered):
    def corners(self) -> int:
        return 4

    def area(self) -> int:
        return self.size**2
""",
    "half_disc.py": """
from kit.base import Shape
from kit.square import Square  # a neighbour's class is not this file's part

class HalfDisc(Shape):
    def area(self) -> int:
        return 2 * self.size**2
""",
    "twins.py": """
from kit.base import Shape

class One(Shape):
    def area(self) -> int:
        return 1

class Two(One): ...
""",
}


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Spec]]:
    """The registry of a package made of ``FILES``."""
    package = tmp_path / "kit"
    package.mkdir()
    for name, text in FILES.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    (tmp_path / "outsiders.py").write_text(
        "from kit.square import Square\n\nclass Tile(Square): ...\n\nclass Stranger: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from kit.base import Shape

    yield Registry("kit", Shape, "shape")
    for name in [n for n in sys.modules if n == "outsiders" or n.partition(".")[0] == "kit"]:
        del sys.modules[name]


def test_parse_keeps_good_values() -> None:
    assert parse(Sample, {"rounds": 3, "inner": {"depth": 2}}, "[x]") == Sample(
        rounds=3, inner=Inner(depth=2)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ronds": 3}, r"\[algorithm\] has no key 'ronds': did you mean 'rounds'\?"),
        ({"rounds": 0}, r"\[algorithm\] rounds = 0: .*greater than or equal to 1"),
        ({"lr": "fast"}, r"\[algorithm\] lr = 'fast': .*number"),
        ({"lr": float("nan")}, r"\[algorithm\] lr = nan: .*finite"),
        ({"lr": float("inf")}, r"\[algorithm\] lr = inf: .*finite"),
        ({"inner": {"dept": 1}}, r"\[algorithm\.inner\] has no key 'dept': did you mean 'depth'"),
    ],
)
def test_parse_names_the_place_the_value_and_the_rule(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        parse(Sample, values, "[algorithm]")


def test_a_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().rounds = 2  # type: ignore[misc]


def test_kinds_are_the_file_names(shapes: Registry[Spec]) -> None:
    assert shapes.kinds == ("half-disc", "house", "square", "twins")


def test_a_package_is_found_by_its_model(shapes: Registry[Spec]) -> None:
    assert shapes.find("house").__name__ == "House"
    assert shapes.find("house").kind == "house"


@pytest.mark.parametrize("kind", ["half-disc", "half_disc"])
def test_both_spellings_find_the_class(shapes: Registry[Spec], kind: str) -> None:
    found = shapes.find(kind)
    assert found.__name__ == "HalfDisc"
    assert found.kind == "half-disc"


def test_a_part_is_the_one_concrete_class_of_its_file(shapes: Registry[Spec]) -> None:
    assert shapes.find("square").__name__ == "Square"
    with pytest.raises(TypeError, match=r"kit\.twins must define one shape, not 2"):
        shapes.find("twins")


def test_an_unknown_kind_offers_the_nearest(shapes: Registry[Spec]) -> None:
    with pytest.raises(InputError, match="no shape 'sqare': did you mean 'square'"):
        shapes.find("sqare")
    with pytest.raises(InputError, match="no shape 'base'"):
        shapes.find("base")


def test_build_passes_hyper_parameters(shapes: Registry[Spec]) -> None:
    assert shapes.build("square", {"size": 3}, "[shape]").model_dump() == {"size": 3}
    with pytest.raises(InputError, match=r"\[shape\] has no key 'siz': did you mean 'size'"):
        shapes.build("square", {"siz": 3}, "[shape]")


def test_a_dotted_kind_is_imported_from_outside(shapes: Registry[Spec]) -> None:
    found = shapes.find("outsiders.Tile")
    assert found.__name__ == "Tile"
    assert found.kind == "outsiders.Tile"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nowhere.Tile", "cannot import shape 'nowhere.Tile'.*No module named 'nowhere'"),
        ("outsiders.Tyle", "cannot import shape 'outsiders.Tyle'.*package.module.Class"),
        ("outsiders.Stranger", "'outsiders.Stranger' is not a subclass of Shape"),
        ("outsiders.__name__", "'outsiders.__name__' is not a subclass of Shape"),
    ],
)
def test_a_dotted_kind_that_is_no_part(shapes: Registry[Spec], kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shapes.find(kind)


def test_a_renamed_key_is_read_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match=r"speed is called lr now"):
        assert parse(Moved, {"speed": 0.5}, "[algorithm]") == Moved(lr=0.5)
    with pytest.warns(DeprecationWarning, match=r"deep is called inner\.depth now"):
        assert parse(Moved, {"deep": 3, "inner": {}}, "[algorithm]").inner.depth == 3
    with pytest.warns(DeprecationWarning, match="speed"):
        assert parse(Outer, {"table": {"speed": 2}}, "[algorithm]") == Outer(table=Moved(lr=2))


@pytest.mark.parametrize("values", [{"speed": 1, "lr": 1}, {"deep": 1, "inner": {"depth": 1}}])
def test_an_old_name_beside_the_new_one_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="given too: drop"):
        parse(Moved, values, "[algorithm]")


def test_a_rule_about_several_keys_is_told_by_the_key_it_begins_with() -> None:
    shards = {"kind": "secure-sum", "shards": 2}
    with pytest.raises(InputError, match=r"^\[privacy\] shards = 2: a secure sum needs 3"):
        build({"privacy": shards})
