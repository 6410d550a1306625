"""What a doctor of a deployment looks at, at the server and at a node alike."""

import datetime
import platform
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

WARN_DAYS = 30
"""A certificate that expires sooner is to be renewed."""
FREE_BYTES = 2**30
"""Less than this on a disk is too little for a run."""
CLOCK_SECONDS = 60.0
ANSWER_SECONDS = 5.0
"""Within these a server answers, or it does not."""


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


def unreadable(what: str, path: Path) -> Finding:
    """A file, which is no secret, is not for this account."""
    return Finding(what, f"{path} may not be read by this account", f"as root: chmod a+r {path}")


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
    except PermissionError:
        return unreadable(what, path)
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


def server(address: str, ca: Path, renew: str) -> Finding:
    """Whether a server is there, is the one that a certificate knows, and has the same time.

    Args:
        address: host and port.
        ca: certificate of its authority, PEM.
        renew: how to get a new one.
    """
    what, (host, _, port) = "server", address.rpartition(":")
    # an address of version 6 stands in brackets
    where = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError:
        return Finding(what, f"not asked: it cannot be known without {ca.name}", renew)
    try:
        with (
            socket.create_connection((where, int(port)), timeout=ANSWER_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=where) as safe,
        ):
            ahead = _ahead(safe, host)
    except ssl.SSLCertVerificationError as error:
        said = f"what answers at {address} is not known by {ca.name}: {error.verify_message}"
        return Finding(what, said, renew)
    except ssl.SSLError as error:
        return Finding(what, f"what answers at {address} is no server of ours: {error}", renew)
    except socket.gaierror:
        do = "see to this host's DNS, or ask the server's operator for the right name"
        return Finding(what, f"nothing is called {host}", do)
    except OSError as error:
        do = "see that a firewall lets this host out, and ask the server's operator if it runs"
        return Finding(what, f"{address} does not answer: {error}", do)
    if abs(ahead) > CLOCK_SECONDS:
        order = "ahead of" if ahead > 0 else "behind"
        said = f"{address} answers; this clock is {abs(ahead):,.0f} s {order} its clock"
        return Finding(what, said, "set the clock that is wrong")
    return Finding(what, f"{address} answers, by a certificate that {ca.name} knows")


def _ahead(connection: ssl.SSLSocket, host: str) -> float:
    """Seconds by which the clock here is ahead of the one there, if that is told; else 0."""
    connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head = connection.recv(2**14).decode("latin-1")
    dates = [line[5:] for line in head.splitlines() if line.lower().startswith("date:")]
    try:
        return time.time() - parsedate_to_datetime(dates[0].strip()).timestamp()
    except (IndexError, ValueError):
        return 0.0
