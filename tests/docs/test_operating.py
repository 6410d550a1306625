"""The operator's year, run from its page as one script: real processes, TLS and keys."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from free_ports import free_ports

from ufgraphfr.deploy.operations.folder import Deployment
from ufgraphfr.deploy.operations.launcher import down

ROOT = Path(__file__).parents[2]
OURS = """
[data]
kind = "table"
interactions = "given-at-import"
items = "books.csv"
template = "A {age}-year-old {occupation}."
[text]
kind = "hashing"
[algorithm]
kind = "ufgraphformer"
[algorithm.cold_items]
[privacy]
kind = "central-jdp"
epsilon = 8
trust = "shard"
shards = 2
"""
KINDS = ("crime", "poetry", "travel", "science")
SHIM = '#!/bin/sh\nexec "{python}" -m ufgraphfr "$@"\n'


def furnish(desk: Path) -> None:
    """The tables that the page speaks of."""

    def write(name: str, head: str, rows: list[str]) -> None:
        (desk / name).write_text("\n".join((head, *rows)) + "\n")

    def lent(name: str, readers: range, rows: int, first: int) -> None:
        own = [
            f"r{r},b{(r + 4 * (r * t + t) + (t % 3 == 0) * t) % 80},{first + t}"
            for r in readers
            for t in range(rows)
        ]
        write(name, "user,item,timestamp", own)

    books = [f"b{i},{KINDS[i % 4].title()} number {i},{KINDS[i % 4]}" for i in range(80)]
    write("books.csv", "item,title,kind", books)
    new = [f"n{i},{kind.title()} of this year,{kind}" for i, kind in enumerate(KINDS)]
    write("more-books.csv", "item,title,kind", books + new)
    trades = ("artist", "doctor", "writer")
    for number, readers in (1, range(60)), (2, range(60, 120)), (3, range(200, 260)):
        lent(f"lent-{number}.csv", readers, 10, 1000)
        people = [f"r{r},{20 + r % 40},{trades[r % 3]}" for r in readers]
        write(f"readers-{number}.csv", "user,age,occupation", people)
    lent("week-2.csv", range(50), 16, 1005)
    (desk / "ours.toml").write_text(OURS)
    (desk / "bin").mkdir()
    shim = desk / "bin/ufgraphfr"
    shim.write_text(SHIM.format(python=sys.executable))
    shim.chmod(0o755)


@pytest.mark.slow
def test_the_year_of_an_operator_goes_as_its_page_says(tmp_path: Path) -> None:
    furnish(tmp_path)
    page = (ROOT / "docs/operating.md").read_text()
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    server, node, *_ = free_ports(4)
    begin = "deploy init ours"
    assert script.count(begin) == 1
    script = script.replace(begin, f"{begin} --port {server} --node-port {node}")
    path = os.pathsep.join(
        map(str, (tmp_path / "bin", Path(sys.executable).parent, os.environ["PATH"]))
    )
    more = {"PATH": path, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    try:
        ended = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=os.environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2700,
            check=False,
        )
    finally:
        down(Deployment(tmp_path / "ours"))
    told = ended.stdout
    assert ended.returncode == 0, told
    assert "Traceback" not in told, told
    # three runs, each at the nodes that take part; one sits out after its disk was lost
    for number, nodes in (1, 2), (2, 2), (3, 1):
        assert f"release {number} is at {nodes} nodes of {nodes}" in told, told
    assert "stopped 5 processes" in told
