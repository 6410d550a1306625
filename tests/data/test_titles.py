"""One form of film titles."""

import pytest

from ufgraphfr.data.titles import film_title


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story (1995)", "1995"),
        ("Usual Suspects, The (1995)", "The Usual Suspects (1995)", "1995"),
        ("American in Paris, An (1951)", "An American in Paris (1951)", "1951"),
        ("Avventura, L' (1960)", "L'Avventura (1960)", "1960"),
        (
            "Eye of Vichy, The (Oeil de Vichy, L') (1993)",
            "The Eye of Vichy (L'Oeil de Vichy) (1993)",
            "1993",
        ),
        ("Kiss Me, Guido (1997)", "Kiss Me, Guido (1997)", "1997"),
        ("Convent, The (Convento, O) (1995)", "The Convent (Convento, O) (1995)", "1995"),
        ("Beans of Egypt, Maine, The (1994)", "The Beans of Egypt, Maine (1994)", "1994"),
        ("Land Before Time III (1995) (V)", "Land Before Time III (1995)", "1995"),
        ("  Two   Friends (1986) ", "Two Friends (1986)", "1986"),
        ("1-900 (1994)", "1-900 (1994)", "1994"),
        ("301, 302 (1995)", "301, 302 (1995)", "1995"),
        ("unknown", "unknown", ""),
        ("(1900)", "(1900)", "1900"),
    ],
)
def test_title_and_year(raw: str, title: str, year: str) -> None:
    assert film_title(raw) == (title, year)
