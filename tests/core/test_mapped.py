"""Long columns lie in files: what is read of them is let go, and what is written is not lost."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ufgraphfr.core import mapped
from ufgraphfr.core.mapped import blocks, gathered, let_go

LONG = mapped.LARGE // 4 + 1


def resident() -> int:
    """Bytes of mapped files that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_read_of_a_long_column_is_let_go_and_read_again() -> None:
    values = np.arange(LONG, dtype=np.int32)
    column = mapped.mapped(values)
    let_go()
    before = resident()
    assert int(column.sum(dtype=np.int64)) == LONG * (LONG - 1) // 2
    assert resident() - before > mapped.LARGE // 2
    let_go()
    assert resident() - before < mapped.LARGE // 8
    column[7] = -1
    let_go()
    assert column[7] == -1
    assert (column[8:] == values[8:]).all()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_few_rows_of_a_long_column_bring_little_with_them() -> None:
    column = mapped.mapped(np.arange(8 * LONG, dtype=np.int32))
    let_go()
    before = resident()
    column[np.random.default_rng(0).integers(0, len(column), 50)].sum()
    assert resident() - before < 50 * 2**17


def test_columns_that_are_gathered_are_those_that_are_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = [np.arange(n) for n in (3, 0, 2000, 1)]
    expected = np.concatenate(parts)
    for large in (2**25, 1, 4_000):
        monkeypatch.setattr("ufgraphfr.core.mapped.LARGE", large)
        found = gathered(iter(parts), np.int32)
        assert found.dtype == np.int32
        assert found.tolist() == expected.tolist()
    assert gathered([], np.int64).tolist() == []


def test_blocks_are_a_column_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ufgraphfr.core.mapped.ROWS_AT_ONCE", 7)
    column = np.arange(24)
    assert np.concatenate([column[some] for some in blocks(column)]).tolist() == column.tolist()
    assert max(some.stop - some.start for some in blocks(column)) == 7
