"""Run an experiment, look at its rounds and result, and recommend.

python examples/run_experiment.py [FILE.toml FOLDER]
"""

import logging
import sys

import ufgraphfr

logging.basicConfig(level=logging.INFO, format="%(message)s")
file, folder = sys.argv[1:] or ("experiments/quickstart.toml", "runs/quickstart")
run = ufgraphfr.run(file, folder)
print(run)
print(run.metrics.tail(3))
user = run.ranks["user"][0]
print(f"user {user} is recommended", run.recommend(user, 3)["title"].to_list())
