"""The files of a deployment that are filled in from templates."""

from collections.abc import Mapping
from importlib.resources import files
from string import Template


def filled(name: str, facts: Mapping[str, object]) -> bytes:
    """A template with its facts.

    Args:
        name: of the template, without ``.in``.
        facts: what stands for its names.
    """
    if name.endswith(".service"):
        # systemd replaces % and a letter
        facts = {key: str(value).replace("%", "%%") for key, value in facts.items()}
    text = (files("ufgraphfr.deploy.operations") / "templates" / f"{name}.in").read_text(
        encoding="utf-8"
    )
    return Template(text).substitute(facts).encode()
