"""Your own table: train on a CSV file and recommend to one of its users.

python examples/own_table.py
"""

from pathlib import Path

import ufgraphfr

folder = Path("runs/own-table")
folder.mkdir(parents=True, exist_ok=True)
books = ("Emma", "Persuasion", "Dracula", "Carmilla", "Frankenstein", "Middlemarch")
rows = [
    f"reader{user},{books[(user + step) % 6]},{step}" for user in range(40) for step in range(4)
]
(folder / "loans.csv").write_text("\n".join(("who,book,day", *rows)))

experiment = {
    "name": "own-table",
    "data": {
        "kind": "table",
        "interactions": "loans.csv",
        "columns": {"user": "who", "item": "book", "timestamp": "day"},
    },
    "text": {"kind": "hashing"},
    "algorithm": {"kind": "fedmf", "dim": 8},
    "federation": {"rounds": 20},
}
run = ufgraphfr.run(experiment, folder / "run", data_dir=folder)
print(run)
print("reader3 borrowed", run.history("reader3"))
for item in run.recommend("reader3", n=2).iter_rows(named=True):
    print(f"  next: {item['title']} ({item['score']:.2f})")
