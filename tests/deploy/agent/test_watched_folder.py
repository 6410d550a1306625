"""A folder that is watched: each table is imported once, whole, and moved out of the way."""

import pytest
from small_federation import NODES, federate, toy_values

from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.watched_folder import WatchedFolder

HEAD = "user,item,timestamp\n"


@pytest.fixture
def shard(tmp_path):
    values = toy_values(algorithm={"kind": "fedmf", "dim": 4})
    return federate(tmp_path / "d", values, spare=10).shard(NODES[0])


def rows(user, first=0):
    return HEAD + "".join(f"{user},i{first + k},{k}\n" for k in range(3))


def test_a_table_is_imported_once_it_no_longer_grows(shard, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    watched, table = WatchedFolder(shard, place), place / "week.csv"
    table.write_text(rows("new"))
    assert list(watched.look()) == []
    with table.open("a") as file:
        file.write("other,i1,9\n")
    # it has grown since
    assert list(watched.look()) == []
    (taken,) = watched.look()
    assert not taken.refused
    assert taken.lines[0] == "2 new users, 4 new interactions"
    assert [path.name for path in place.iterdir()] == ["done"]
    assert list(watched.look()) == []
    # a second one of its name stays beside the first
    table.write_text(rows("third"))
    list(watched.look())
    (taken,) = watched.look()
    assert taken.path == place / "done" / "week.2.csv"
    assert {"new", "other", "third"} <= set(ShardStore(shard.database).names())


def test_what_is_refused_lies_apart_with_its_reason_and_others_go_on(shard, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    (place / "a.csv").write_text(HEAD + "new,nothing,1\n")
    (place / "b.csv").write_text(rows("new"))
    (place / "notes.txt").write_text("not a table")
    watched = WatchedFolder(shard, place)
    list(watched.look())
    first, second = watched.look()
    assert (first.refused, second.refused) == (True, False)
    assert "item 'nothing' is not in the catalogue" in (place / "refused" / "a.csv.txt").read_text()
    assert sorted(path.name for path in place.iterdir()) == ["done", "notes.txt", "refused"]


def test_a_kill_after_the_import_adds_nothing_twice(shard, tmp_path, monkeypatch):
    place = tmp_path / "in"
    place.mkdir()
    (place / "a.csv").write_text(rows("new"))
    watched = WatchedFolder(shard, place)
    list(watched.look())
    with monkeypatch.context() as patch:
        patch.setattr(WatchedFolder, "_moved", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(watched.look())
    watched = WatchedFolder(shard, place)
    list(watched.look())
    (taken,) = watched.look()
    assert taken.lines == ["0 new users, 0 new interactions", "3 rows were here already"]
