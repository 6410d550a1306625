"""Amendments: numbered documents by which an agreement changes, each signed off as the first was.

An amendment names the digest of the document before it and lists only what changes. So its own
digest stands for the whole chain, and whoever signs it has signed everything before it. The seed,
the algorithm, clip, noise and rounds cannot be amended: other settings are another agreement.
"""

import hashlib
import re
import tomllib
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli_w

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Schema
from ufgraphfr.deploy.agreement.node import Node

SCHEMA = Schema("amendment")
_SHA256, _FINGERPRINT = re.compile("[0-9a-f]{64}"), re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_RELEASE = re.compile(r"\d+\.\d+\.\d+\S*")


@dataclass(frozen=True)
class Amendment:
    """One change; what is empty stays as it was.

    Attributes:
        number: from 1 on.
        amends: digest of the document before it.
        catalogue: SHA-256 of a catalogue that goes on where the one before ends.
        join: nodes that take part from the next run on.
        leave: names of nodes that take part no longer.
        keys: fingerprints of nodes' keys, by name: the server registers no others for them.
        authority: fingerprint of the certificate by which the server is known.
        software: the oldest release of this package that every host runs.
        pad_keys: by node that joins, the public half of the key that it made for secure sums.
        signed: the file.
    """

    number: int
    amends: str
    catalogue: str = ""
    join: tuple[Node, ...] = ()
    leave: tuple[str, ...] = ()
    keys: dict[str, str] = field(default_factory=dict)
    authority: str = ""
    software: str = ""
    pad_keys: dict[str, str] = field(default_factory=dict)
    signed: bytes = field(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        """Checks the form, not whether it fits what it amends.

        Raises:
            InputError: it says nothing, or what it says is of another form.
        """
        forms = [("amends", self.amends, _SHA256), ("software", self.software, _RELEASE)]
        forms += [("catalogue", self.catalogue, _SHA256), ("authority", self.authority, _SHA256)]
        forms += [(f"keys.{name}", key, _FINGERPRINT) for name, key in self.keys.items()]
        forms += [(f"pad_keys.{name}", key, _SHA256) for name, key in self.pad_keys.items()]
        for name, value, form in forms:
            if (value or name == "amends") and not form.fullmatch(value):
                raise InputError(f"amendment {self.number}: {name} = {value!r} is of another form")
        if not self.changes:
            raise InputError(f"amendment {self.number} changes nothing: say what changes")

    @property
    def changes(self) -> dict[str, Any]:
        """What changes, as it is written."""
        values = {k: v for k, v in asdict(self).items() if k not in ("number", "amends", "signed")}
        values |= {name: list(values[name]) for name in ("join", "leave")}
        return {name: value for name, value in values.items() if value}

    @property
    def document(self) -> bytes:
        """The file, TOML: as it was signed or, if it has not been written yet, as it will be."""
        head = {"number": self.number, "amends": self.amends}
        return self.signed or tomli_w.dumps(SCHEMA.write(head | self.changes)).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.document).hexdigest()

    def lines(self) -> list[str]:
        """What changes, for people."""
        said = {
            "catalogue": f"the catalogue grows: {self.catalogue[:12]}",
            "leave": f"nodes leave: {', '.join(self.leave)}",
            "authority": f"the server is known by another certificate: {self.authority[:12]}",
            "software": f"every host runs release {self.software} or a newer one",
        }
        joined = [f"node {n.name} joins, client ids from {n.first:,} on" for n in self.join]
        keys = [f"the key of {name} is {key}" for name, key in self.keys.items()]
        pads = [f"the pad key of {name} is {key[:12]}" for name, key in self.pad_keys.items()]
        return joined + keys + pads + [line for name, line in said.items() if name in self.changes]


def read_amendment(path: Path) -> Amendment:
    """The amendment in a file.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        signed = path.read_bytes()
        values = SCHEMA.read(tomllib.loads(signed.decode()), path)
        unknown = values.keys() - {each.name for each in fields(Amendment) if each.name != "signed"}
        if unknown:
            said = ", ".join(sorted(unknown))
            raise InputError(f"{path}: this release knows no {said}: install the one that wrote it")
        values["join"] = tuple(Node(**node) for node in values.get("join", ()))
        values["leave"] = tuple(values.get("leave", ()))
        return Amendment(**values, signed=signed)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not a readable amendment ({type(error).__name__}: {error}): copy it again "
            f"from the folder where deploy amend wrote it"
        ) from None
