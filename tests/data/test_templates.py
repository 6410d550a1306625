"""Sentences about people are grammatical and say only what the profile says."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.templates import article, attributes, check_template, fill, person


@pytest.mark.parametrize(
    ("profile", "sentence"),
    [
        (("24", "male", "technician"), "A 24-year-old man who works as a technician."),
        (("18", "female", "student"), "An 18-year-old woman who is a student."),
        (("80", "male", "retired"), "An 80-year-old man who is retired."),
        (("33", "female", "none"), "A 33-year-old woman without an occupation."),
        (("33", "female", "other"), "A 33-year-old woman in another occupation."),
        (("33", "male", "healthcare"), "A 33-year-old man who works in healthcare."),
        (("33", "male", "artist"), "A 33-year-old man who works as an artist."),
        (
            ("25 to 34", "female", "executive or manager"),
            "A woman 25 to 34 years old who works as an executive or manager.",
        ),
        (("under 18", "male", "K-12 student"), "A man under 18 years old who is a K-12 student."),
    ],
)
def test_person(profile, sentence):
    assert person(dict(zip(("age", "gender", "occupation"), profile, strict=True))) == sentence


@pytest.mark.parametrize(
    ("word", "expected"),
    [("8", "an"), ("11", "an"), ("18", "an"), ("81", "an"), ("1", "a"), ("118", "a"), ("an", "an")],
)
def test_article_follows_the_sound(word, expected):
    assert article(word) == expected


def test_attributes_leave_out_what_is_empty():
    assert attributes({"home_town": "Bern", "age": ""}) == "The user's home town is Bern."
    assert attributes({"a": "x", "b": "y"}) == "The user's a is x; b is y."
    assert attributes({"age": ""}) == attributes({}) == "A user of the catalogue."


def test_what_is_missing_reaches_no_sentence():
    profile = {"age": "NaN", "city": "nan", "note": "N/A", "home": "Bern"}
    assert attributes(profile) == "The user's home is Bern."
    assert fill("A {age}-year-old from {home}.", profile) == attributes(profile)
    assert fill("Somebody from {city}.", {"city": "\\N"}) == "A user of the catalogue."
    assert fill("A {age}-year-old.", {"age": "31.0"}) == "A 31-year-old."


def test_template_fields_are_checked_before_any_row():
    template = "{age} in {home town}: {{{age}}}"
    check_template(template, ["age", "home town"])
    assert fill(template, {"age": "20", "home town": "Bern"}) == "20 in Bern: {20}"
    with pytest.raises(InputError, match=r"asks for \{twon\}: did you mean 'town'"):
        check_template("{twon}", ["age", "town"])


@pytest.mark.parametrize(
    "template", ["{age", "{}", "{age.__class__}", "{0}", "{age!r}", "{age:>9}"]
)
def test_a_template_that_is_no_list_of_columns_is_refused(template):
    with pytest.raises(InputError, match="template"):
        check_template(template, ["age"])
