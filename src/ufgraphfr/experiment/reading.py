"""An experiment from a TOML file or a dict, with other values set and its folder looked into."""

import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.experiment.config import Experiment, build
from ufgraphfr.experiment.settings import put, take

SHIPPED = Path(__file__).parent.parent / "experiments"
"""TOML files that come with the package."""

Overrides: TypeAlias = Mapping[str, Any] | Iterable[str]
"""Values by ``table.key``, or ``table.key=value`` in TOML's notation (a bare word is a string)."""


def read(path: Path, overrides: Overrides = (), seed: int | None = None) -> Experiment:
    """Read an experiment from a TOML file.

    Args:
        path: the file, or the name of an experiment that ships, like ``ml100k/ufgraphformer``.
        overrides: instead of the file's values.
        seed: instead of the file's.

    Raises:
        InputError: the file cannot be read, or a key or value is wrong.
    """
    values, folder = read_values(path, overrides, seed)
    return build_beside(values, folder)


def read_values(
    path: Path, overrides: Overrides = (), seed: int | None = None
) -> tuple[dict[str, Any], Path]:
    """The values of a TOML file with others set, and its folder; see `read`."""
    path = _located(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}): name a TOML file") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from None
    override(values, overrides, seed)
    values.setdefault("name", path.stem)
    return values, path.parent


def shipped() -> dict[str, Path]:
    """The experiments of this package, by name."""
    files = sorted(SHIPPED.rglob("*.toml"))
    return {file.relative_to(SHIPPED).with_suffix("").as_posix(): file for file in files}


def _located(path: Path) -> Path:
    """The file itself, or the shipped experiment of that name."""
    if path.is_file():
        return path
    found, name = shipped(), path.as_posix().removeprefix("experiments/").removesuffix(".toml")
    if name in found:
        return found[name]
    if path.exists():
        # what it is is told when it is read
        return path
    raise InputError(
        f"cannot read {path}: there is no such file, and no experiment of that name ships; name a "
        f"TOML file or one of these: {nearest(name, found)}"
    )


def build_beside(values: dict[str, Any], folder: Path | None) -> Experiment:
    """`build`, with dotted kinds and the files that the values name looked for in a folder too.

    Raises:
        InputError: see `build`.
    """
    if folder is None:
        return build(values)
    place = str(folder.resolve())
    sys.path.append(place)
    try:
        return replace(build(values), folder=folder)
    finally:
        sys.path.remove(place)


def override(values: dict[str, Any], overrides: Overrides, seed: int | None = None) -> None:
    """Set other values in those of an experiment.

    Raises:
        InputError: an override cannot be read, or names a table within a value.
    """
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_pair, overrides)
    for path, value in pairs:
        try:
            put(values, path, value)
            # the reason of a derived value is none of another
            take(values, f"derived.{path}")
        except KeyError as error:
            raise InputError(f"--set {path}: {error} is a value, not a table") from None
    if seed is not None:
        values["seed"] = seed


def _pair(text: str) -> tuple[str, Any]:
    path, equals, value = text.partition("=")
    if not equals or not all(path.strip().split(".")):
        raise InputError(f"--set {text}: write KEY=VALUE, as in algorithm.lr=0.05")
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path.strip(), value.strip()
