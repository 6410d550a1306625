"""What every text encoder promises; a new file in the package is tested here without an edit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ufgraphfr.core.errors import InputError, MissingExtra
from ufgraphfr.testing import ENCODER_CONTRACTS
from ufgraphfr.text import ENCODERS, Encoder, embed


@pytest.fixture(scope="module", params=ENCODERS.kinds)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    built = ENCODERS.build(request.param, {}, "[text]")
    try:
        built.fingerprint()
    except MissingExtra as error:
        pytest.skip(str(error))
    return built


@pytest.mark.parametrize("contract", ENCODER_CONTRACTS, ids=lambda each: each.__name__)
def test_contract(contract: Callable[[Encoder], None], encoder: Encoder) -> None:
    contract(encoder)


def test_no_text_gives_no_vector(encoder: Encoder, tmp_path: Path) -> None:
    assert embed(encoder, [], tmp_path).shape == (0, encoder.width)


def test_a_width_that_is_not_the_encoders_is_refused() -> None:
    with pytest.raises(InputError, match=r"\[text\] width = 300: .*512"):
        ENCODERS.build("use", {"width": 300}, "[text]")
    with pytest.raises(InputError, match=r"\[text\] width = 0: "):
        ENCODERS.build("hashing", {"width": 0}, "[text]")
