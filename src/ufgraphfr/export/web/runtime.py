"""What runs the model in a browser: onnxruntime-web, from npm when it is needed, never another one.

The package has no file with its licence; its package.json and its sources name the one below.
"""

import hashlib
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import cache_folder

PACKAGE = "onnxruntime-web@1.30.0"
TARBALL = "onnxruntime-web-1.30.0.tgz"
SHA512 = (
    "ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca"
    "590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61"
)
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
SECONDS = 300
LICENCE = """ONNX Runtime, MIT License. Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""


@dataclass(frozen=True)
class Runtime:
    """The two files that a page needs: a module and its WebAssembly."""

    script: bytes
    binary: bytes


def runtime() -> Runtime:
    """The runtime, out of the cache or from npm.

    Raises:
        InputError: it is neither there nor to be had, or it is another one.
    """
    place = cache_folder("npm", TARBALL)
    if not place.exists():
        _fetch(place)
    found = hashlib.sha512(place.read_bytes()).hexdigest()
    if found != SHA512:
        raise InputError(
            f"{place} has SHA-512 {found[:12]}..., and {PACKAGE} has {SHA512[:12]}...: remove it, "
            f"and it is fetched again"
        )
    with tarfile.open(place) as package:
        files = (package.extractfile(f"package/dist/{name}") for name in (SCRIPT, BINARY))
        script, binary = (file.read() for file in files if file is not None)
    return Runtime(script, binary)


def _fetch(place: Path) -> None:
    folder = place.parent
    by_hand = f"npm pack {PACKAGE} --pack-destination '{folder}'"
    npm = which("npm")
    if npm is None:
        raise InputError(
            f"the page needs {PACKAGE}, and npm is not here to fetch it: install npm, or run this "
            f"where it is, and copy the file: {by_hand}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    words = [npm, "pack", PACKAGE, "--pack-destination", str(folder)]
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise InputError(
            f"{PACKAGE} could not be fetched ({said[-1] if said else error}): run this where there "
            f"is a network, and copy the file: {by_hand}"
        ) from None
