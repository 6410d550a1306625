"""Sentences that describe a user from a profile, without ids and without zip codes.

Ids and zip codes say nothing about preferences, and blur the similarity of the sentences.
"""

from collections.abc import Iterable, Mapping
from string import Formatter

from ufgraphfr.core.errors import InputError, nearest
from ufgraphfr.data.missing import plain

_WITHOUT_OCCUPATION = {
    "other": "in another occupation",
    "none": "without an occupation",
    "retired": "who is retired",
    "self-employed": "who is self-employed",
    "unemployed": "who is unemployed",
}
_FIELDS_OF_WORK = {"entertainment", "healthcare", "marketing", "customer service"}
_ROLES = ("student", "homemaker")
_NOUNS = {"male": "man", "female": "woman"}


def article(word: str) -> str:
    """``a`` or ``an``, by the sound the word starts with."""
    number = word.split("-", maxsplit=1)[0]
    if number.isdigit():
        return "an" if number[0] == "8" or number in {"11", "18"} else "a"
    return "an" if word[0].lower() in "aeiou" else "a"


def occupation(name: str) -> str:
    """An occupation as the end of a sentence about a person."""
    if name in _WITHOUT_OCCUPATION:
        return _WITHOUT_OCCUPATION[name]
    if name in _FIELDS_OF_WORK:
        return f"who works in {name}"
    verb = "is" if name.endswith(_ROLES) else "works as"
    return f"who {verb} {article(name)} {name}"


def person(profile: Mapping[str, str]) -> str:
    """A person of known age (years, or a range in words), gender and occupation.

    Raises:
        KeyError: one of them is not known, or a gender has no noun.
    """
    noun = _NOUNS[profile["gender"]]
    age = profile["age"]
    if age.isdigit():
        start = f"{article(age).capitalize()} {age}-year-old {noun}"
    else:
        start = f"A {noun} {age} years old"
    return f"{start} {occupation(profile['occupation'])}."


def attributes(profile: Mapping[str, str]) -> str:
    """Any attributes, one clause each, for tables without a template of their own."""
    known = {name: plain(value) for name, value in profile.items()}
    clauses = [f"{name.replace('_', ' ')} is {value}" for name, value in known.items() if value]
    if not clauses:
        return "A user of the catalogue."
    return f"The user's {'; '.join(clauses)}."


def fill(template: str, profile: Mapping[str, str]) -> str:
    """A template with its ``{column}`` fields replaced; `attributes` where a value is missing.

    Raises:
        KeyError: a profile does not have the field at all.
    """
    parts = list(Formatter().parse(template))
    known = {name: plain(profile[name]) for _, name, _, _ in parts if name}
    if not all(known.values()):
        return attributes(profile)
    return "".join(text + (known[name] if name else "") for text, name, _, _ in parts)


def check_template(template: str, columns: Iterable[str]) -> None:
    """Refuse a template that asks for a column that does not exist.

    Raises:
        InputError: an unknown column (the nearest one is offered), or braces that do not pair up.
    """
    known = list(columns)
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(
            f"template = {template!r} is not readable ({error}): write columns as {{column}}"
        ) from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in known or form or conversion):
            raise InputError(f"template asks for {{{name}}}: {nearest(name, known)}")
