"""HetRec MovieLens-2K: titles with years, genres by film, never fetched."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.sources import SOURCES


def test_titles_and_genres(write):
    written = write("hetrec2011-movielens-2k")
    data = SOURCES.build(written.kind, {}, "[data]").load(written.folder)
    assert data.catalogue.titles[:2] == ("Kolyma (1996)", "The Usual Visitors (1995)")
    assert data.catalogue.features["genre"][:2] == (("Comedy",), ("Crime", "Thriller"))
    assert data.catalogue.features["year"][2] == ("1960",)


def test_without_a_digest_nothing_is_fetched():
    source = SOURCES.build("hetrec2011-movielens-2k", {}, "[data]")
    with pytest.raises(InputError, match=r"Fetch http.*zip by hand.*--data-dir"):
        source.load()
