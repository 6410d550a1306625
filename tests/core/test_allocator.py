"""Freed memory is kept: using it again costs no page faults. In processes of their own."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ufgraphfr.core.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
for _ in range(6):
    torch.ones(10_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(6):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_was_freed_is_used_again() -> None:
    kept, given_back = (
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS.format(keep=keep)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for keep in (True, False)
    )
    # the first blocks of 40 MB are new ones in any case
    assert kept < given_back / 2


GIVEN_BACK = """
from pathlib import Path
import torch
from ufgraphfr.core.allocator import give_back_freed_memory, keep_freed_memory

def held():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

assert keep_freed_memory()
torch.ones(25_000_000)
before = held()
assert give_back_freed_memory()
print(before - held())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_memory_that_was_kept_can_be_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_BACK], check=True, capture_output=True, text=True
    )
    # of 100 MB
    assert int(done.stdout) > 90_000_000
