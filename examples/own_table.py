"""Your own table: train on a CSV file and recommend to one of its users.

python examples/own_table.py
"""

from pathlib import Path

from ufgraphfr.experiment import build, execute
from ufgraphfr.serve.recommender import Recommender

folder = Path("runs/own-table")
folder.mkdir(parents=True, exist_ok=True)
books = ("Emma", "Persuasion", "Dracula", "Carmilla", "Frankenstein", "Middlemarch")
rows = [
    f"reader{user},{books[(user + step) % 6]},{step}" for user in range(40) for step in range(4)
]
(folder / "loans.csv").write_text("\n".join(("who,book,day", *rows)))

experiment = build(
    {
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
)
for step in execute(experiment, folder / "run", data_dir=folder, resume=True):
    if step.validation:
        print(f"round {step.round}: NDCG@10 {step.validation['full']['ndcg@10']:.3f}")
recommender = Recommender.open(folder / "run", data_dir=folder)
print("reader3 borrowed", recommender.history("reader3"))
for item in recommender.recommend("reader3", count=2):
    print(f"  next: {item.title} ({item.score:.2f})")
