"""What a doctor of a deployment looks at, at the server and at a node alike."""

import datetime
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

WARN_DAYS = 30
"""A certificate that expires sooner is to be renewed."""
FREE_BYTES = 2**30
"""Less than this on a disk is too little for a run."""
CLOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: it is.
        said: how it is.
        do: what must be done; empty if all is well.
    """

    what: str
    said: str
    do: str = ""


def versions() -> Iterator[Finding]:
    """Of what runs here; the engine is needed at the server and beside each agent."""
    yield Finding("python", platform.python_version())
    yield Finding("ufgraphfr", version("ufgraphfr"))
    try:
        yield Finding("flwr", version("flwr"))
    except PackageNotFoundError:
        yield Finding("flwr", "not installed here", "pip install 'ufgraphfr[flower]'")


def clock(*files: Path) -> Finding:
    """The clock is not behind what was written here before."""
    last = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    now = datetime.datetime.now(datetime.UTC).isoformat(" ", "seconds")
    if last > time.time() + CLOCK_SECONDS:
        behind = last - time.time()
        return Finding("clock", f"{now}, {behind:,.0f} s behind this folder's files", "set it")
    return Finding("clock", f"{now}, not behind this folder's files")


def disk(folder: Path) -> Finding:
    """Room where a part of the deployment writes."""
    free = shutil.disk_usage(folder).free
    do = f"free at least {FREE_BYTES / 1e9:.1f} GB there" if free < FREE_BYTES else ""
    return Finding("disk", f"{free / 1e9:,.1f} GB free at {folder}", do)


def certificate(path: Path, renew: str, host: str = "") -> Finding:
    """A certificate is there, holds now and for a while, and names the host.

    Args:
        path: of the certificate, PEM.
        renew: how to get a new one.
        host: it must name; empty for an authority's.
    """
    what = f"certificate {path.name}"
    try:
        from cryptography import x509

        from ufgraphfr.deploy.operations.certificates import names_of
    except ImportError:
        return Finding(what, "cannot be read here", "pip install 'ufgraphfr[flower]'")
    try:
        read = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return Finding(what, f"{path} is missing or no certificate", renew)
    begin, end = read.not_valid_before_utc, read.not_valid_after_utc
    left = end - datetime.datetime.now(datetime.UTC)
    if begin > datetime.datetime.now(datetime.UTC):
        return Finding(what, f"holds from {begin:%Y-%m-%d %H:%M} UTC only", "set the clock")
    if left.total_seconds() <= 0:
        return Finding(what, f"expired on {end:%Y-%m-%d}", renew)
    if host and host not in (names := names_of(read)):
        return Finding(what, f"names {', '.join(names)}, and not {host}", renew)
    said = f"holds until {end:%Y-%m-%d}, {left.days:,} days" + (f", for {host}" if host else "")
    return Finding(what, said, renew if left.days < WARN_DAYS else "")
