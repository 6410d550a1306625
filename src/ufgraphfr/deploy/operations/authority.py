"""A new authority of a deployment: made aside, and put in place once an amendment names it.

A kill before the amendment is handed out leaves the authority that was agreed on, and a kill after
it something to finish.
"""

import hashlib
import shutil

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import give_to_owner, make_folder, write_atomically
from ufgraphfr.deploy.agreement.chain import read_agreement
from ufgraphfr.deploy.operations.certificates import write_authority
from ufgraphfr.deploy.operations.folder import Deployment


def stage(folder: Deployment, host: str) -> str:
    """Make a new authority aside.

    Returns:
        SHA-256 of its certificate.
    """
    shutil.rmtree(folder.next_authority, ignore_errors=True)
    write_authority(folder.next_authority, folder.next_authority / "ca.key", host)
    return hashlib.sha256((folder.next_authority / "ca.crt").read_bytes()).hexdigest()


def settle(folder: Deployment) -> None:
    """Put an authority in place that was agreed on, and drop one that was not."""
    staged, server = folder.next_authority, folder.server
    if not staged.exists():
        return
    try:
        agreement = read_agreement(server.agreement)
        certificate = (staged / "ca.crt").read_bytes()
    except (OSError, InputError):
        return
    if hashlib.sha256(certificate).hexdigest() == agreement.authority:
        for node in agreement.nodes:
            write_atomically(folder.node(node.name).ca, certificate, public=True)
        make_folder(folder.authority.parent)
        places = {"ca.key": folder.authority, "server.key": server.tls / "server.key"}
        places |= {name: server.tls / name for name in ("server.crt", "ca.crt")}
        for name, place in places.items():
            # the certificate stays until the last, for it says what the others belong to
            if (staged / name).exists():
                (staged / name).replace(place)
                give_to_owner(place, place.parent)
    shutil.rmtree(staged)
