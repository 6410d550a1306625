"""A document is read by the version that it names: migrated, or refused."""

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Schema

THREE = Schema(
    "box",
    (
        lambda old: {"width": old["size"], "height": old["size"]},
        lambda old: {**old, "unit": "cm"},
    ),
)
NOW = {"width": 2, "height": 2, "unit": "cm"}


@pytest.mark.parametrize(
    "document",
    [
        {"size": 2},
        {"schema": "ufgraphfr-box-1", "size": 2},
        {"schema": "ufgraphfr-box-2", "width": 2, "height": 2},
        {"schema": "ufgraphfr-box-3", **NOW},
    ],
)
def test_every_version_is_read_as_the_present_one(document):
    before = dict(document)
    assert THREE.read(document, "box.json") == NOW
    assert document == before


def test_what_is_written_is_read():
    assert THREE.write(NOW) == {"schema": "ufgraphfr-box-3", **NOW}
    assert next(iter(THREE.write(NOW))) == "schema"
    assert THREE.read(THREE.write(NOW), "box.json") == NOW


def test_what_a_newer_release_wrote_is_refused():
    message = r"box.json was written by a newer release \(box schema 4; this one reads up to 3\): "
    with pytest.raises(InputError, match=message + "upgrade"):
        THREE.read({"schema": "ufgraphfr-box-4", **NOW}, "box.json")
    THREE.check(3, "box.json")
    with pytest.raises(InputError, match=message + "upgrade"):
        THREE.check(4, "box.json")


@pytest.mark.parametrize(
    "schema",
    ["ufgraphfr-chest-1", "ufgraphfr-box-0", "ufgraphfr-box-", "ufgraphfr-box-2x", 2],
)
def test_another_kind_is_refused(schema):
    with pytest.raises(InputError, match="'ufgraphfr-box-1' to 'ufgraphfr-box-3'"):
        THREE.read({"schema": schema, **NOW}, "box.json")


@pytest.mark.parametrize("document", [[], None, "ufgraphfr-box-1"])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(InputError, match="no document of the kind 'box'"):
        THREE.read(document, "box.json")
