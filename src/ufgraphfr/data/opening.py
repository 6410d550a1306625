"""Opens a table by the suffix of its file; where a file does not say its separator, it is seen."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.files import CONTAINERS, File, find, read
from ufgraphfr.data.nested import parse_json, parse_parquet
from ufgraphfr.data.parsing import parse, parse_lists
from ufgraphfr.data.tables import Layout, Table

_ATOMIC = (".inter", ".user", ".item")
_SEPARATORS = {
    ".csv": (",", ";", "\t", "|"),
    ".tsv": ("\t",),
    **dict.fromkeys(_ATOMIC, ("\t",)),
    **dict.fromkeys((".dat", ".data", ".txt"), ("\t", "::", ",", ";", "|", " ")),
}
_JSON = (".json", ".jsonl", ".ndjson")
_NAMES = {"\t": "tabs", " ": "spaces"}
_SEEN_BYTES, _SEEN_LINES = 1 << 16, 50

Quotes = Literal["auto", "csv", "none"]


@dataclass(frozen=True)
class Opening:
    """What a person says of the files; what is left out is seen from each.

    Attributes:
        separator: between fields; empty if it is to be seen.
        encoding: of text; UTF-16 is known by its mark.
        header: whether the first line names the columns.
        quotes: whether fields may stand in double quotes; ``auto`` is in .csv files alone.
    """

    separator: str = ""
    encoding: str = "utf-8-sig"
    header: bool = True
    quotes: Quotes = "auto"

    def table(self, folder: Path, name: str) -> Table:
        """The table in a file.

        Raises:
            InputError: it cannot be read, is empty or of no known format.
        """
        file, suffix = _file(folder, name)
        if suffix == ".parquet":
            return parse_parquet(file)
        encoding = self._encoding_of(file)
        if suffix in _JSON:
            return parse_json(file, encoding)
        if suffix not in _SEPARATORS and not self.separator:
            known = (*_SEPARATORS, *_JSON, ".parquet")
            raise InputError(
                f"{file.name} is of no known format: give {', '.join(known)} (a spreadsheet saves "
                f"as .csv), or name what separates its fields, [data] separator"
            )
        usual = _SEPARATORS.get(suffix, (self.separator,))
        separator = self.separator or seen_separator(file, encoding, usual)
        quoted = suffix == ".csv" if self.quotes == "auto" else self.quotes == "csv"
        layout = Layout(
            separator=separator,
            encoding=encoding,
            quoted=quoted and len(separator) == 1,
            numbered=not self.header,
        )
        table = parse(file, layout)
        if separator == usual[0] or self.separator:
            return table
        note = f"{file.name}: fields are separated by {_NAMES.get(separator, separator)}"
        return replace(table, notes=(*table.notes, note))

    def lists(self, folder: Path, name: str, user: str, item: str) -> Table:
        """The table in a file of lists, ``user item item ...``.

        Raises:
            InputError: it cannot be read, or is empty.
        """
        file, _ = _file(folder, name)
        layout = Layout(separator=self.separator or " ", encoding=self._encoding_of(file))
        return parse_lists(file, layout, user, item)

    def _encoding_of(self, file: File) -> str:
        """UTF-16 says so in its first bytes, which begin no text in UTF-8."""
        marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
        marked = self.encoding == "utf-8-sig" and file.data.startswith(marks)
        return "utf-16" if marked else self.encoding


def seen_separator(file: File, encoding: str, candidates: Sequence[str]) -> str:
    """The candidate that divides most of the first lines into as many fields as the first one.

    The first candidate, if there is none.
    """
    text = file.data[:_SEEN_BYTES].decode(encoding, errors="ignore")
    bare = re.sub(r'"[^"]*"', "", text)
    lines = [line for line in bare.split("\n") if line.strip()][:_SEEN_LINES]

    def fit(candidate: str) -> tuple[int, int]:
        counts = [line.count(candidate) for line in lines]
        return (counts.count(counts[0]), counts[0]) if counts and counts[0] else (0, 0)

    return max(candidates, key=fit)


def _file(folder: Path, name: str) -> tuple[File, str]:
    """A file, and its suffix within any container."""
    file = read(find(folder, name) or folder / name)
    suffixes = [suffix.lower() for suffix in PurePosixPath(file.name).suffixes]
    own = [suffix for suffix in suffixes if suffix not in CONTAINERS]
    return file, own[-1] if own else ""
