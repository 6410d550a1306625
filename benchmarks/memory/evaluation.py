"""Peak memory of the evaluation of generated users: what grows with them, and what must not.

    python benchmarks/memory/evaluation.py 2000 15000 --items 50000

For each number of users a process of its own evaluates a random factor model of some blended parts,
with freed memory kept as a run keeps it. The scores alone would be users * items * 4 bytes.
"""

import argparse
import resource
import subprocess
import sys

import torch

from ufgraphfr.core.allocator import keep_freed_memory
from ufgraphfr.core.keys import Key
from ufgraphfr.data.client_batches import ClientBatch
from ufgraphfr.evaluation.metric_sums import Model, evaluate_blends
from ufgraphfr.evaluation.protocol import EvaluationSet

DIM = 16


def population(users: int, items: int) -> EvaluationSet:
    """Users with histories of 5 to 200 items, asked for a random one."""
    generator = Key(0).generator()
    lengths = torch.randint(5, 200, (users,), generator=generator)
    ptr = torch.zeros(users + 1, dtype=torch.int64)
    torch.cumsum(lengths, 0, out=ptr[1:])
    history = torch.randint(items, (int(ptr[-1]),), generator=generator)
    clients = ClientBatch(
        torch.arange(users), ptr, history, ptr * 0, history[:0], torch.empty(users, 0), items
    )
    drawn = torch.randint(items, (users, 100), generator=generator)
    return EvaluationSet(clients, drawn[:, :1], drawn[:, 1:])


def peak() -> int:
    """The most resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def measure(users: int, items: int, parts: int, blends: int, chunk: int) -> None:
    """Evaluate in this process, and print a line."""
    keep_freed_memory()
    asked = population(users, items)
    generator = Key(1).generator()
    own = torch.randn(parts, users, DIM, generator=generator)
    table = torch.randn(parts, DIM, items, generator=generator)
    choices = torch.rand(blends, parts, generator=generator)
    before = peak()
    model = Model(
        parts=lambda some: own[:, some.clients] @ table,
        blended=lambda _, scores, weights: torch.einsum("kcp,pci->kci", weights, scores),
    )
    found = evaluate_blends(model, choices, asked, chunk)
    scores = users * items * 4 // 2**20
    print(
        f"{users:,} users x {items:,} items ({scores:,} MB of scores), {parts} parts, "
        f"{blends} blends: {before} MB before, {peak() - before} MB more at the peak; "
        f"ndcg {found.of(0).metrics['full']['ndcg']:.6f}"
    )


def main() -> None:
    """Each number of users in a process of its own, since a peak never falls."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("users", type=int, nargs="+")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--blends", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=128)
    given = parser.parse_args()
    shape = given.items, given.parts, given.blends, given.chunk
    if len(given.users) == 1:
        return measure(given.users[0], *shape)
    names = ("--items", "--parts", "--blends", "--chunk")
    options = [
        word for name, value in zip(names, shape, strict=True) for word in (name, str(value))
    ]
    for users in given.users:
        subprocess.run([sys.executable, __file__, str(users), *options], check=True)
    return None


if __name__ == "__main__":
    main()
