"""Every distinct sentence is encoded once, and the vectors are kept on disk."""

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ufgraphfr.core.folders import cache_folder, write_atomically
from ufgraphfr.text.base import Encoder

_LOG = logging.getLogger(__name__)
_SEAL = hashlib.sha256().digest_size


def embed(
    encoder: Encoder, texts: Sequence[str], cache_dir: Path | None = None
) -> NDArray[np.float32]:
    """Vectors of sentences, from the cache or else from the encoder.

    The file is named by a digest of the encoder and the distinct sentences, so it is never out of
    date. It may be deleted at any time; a damaged one is made again.

    Args:
        encoder: what turns a sentence into a vector.
        texts: sentences, repeated ones included.
        cache_dir: where the vectors are kept; None is ``text`` in the user's cache folder.

    Returns:
        float32 ``[texts, width]``, in the order of ``texts``.

    Raises:
        MissingExtra: the encoder's package is not installed.
        ValueError: the encoder broke its contract (shape, or a value that is not finite).
    """
    vectors, row_of = embed_distinct(encoder, texts, cache_dir)
    found: NDArray[np.float32] = vectors[row_of]
    return found


def embed_distinct(
    encoder: Encoder, texts: Sequence[str], cache_dir: Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """As `embed`, float32 ``[distinct, width]``, and int32 ``[texts]``, the row of each text."""
    # sorted, so that the same users in another order share the file and get the same bits
    distinct = sorted(set(texts))
    if not distinct:
        return np.zeros((0, encoder.width), np.float32), np.zeros(0, np.int32)
    folder = cache_folder("text") if cache_dir is None else cache_dir
    identity = json.dumps([encoder.kind, encoder.fingerprint(), encoder.width, *distinct])
    path = folder / f"{hashlib.sha256(identity.encode()).hexdigest()}.npy"
    vectors = _read(path)
    if vectors is None:
        vectors = _encode(encoder, distinct)
        _write(path, vectors)
    row_of = {text: row for row, text in enumerate(distinct)}
    rows = np.fromiter((row_of[text] for text in texts), np.int32, len(texts))
    return vectors, rows


def _encode(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    # sentences are short: a second thread costs more in waiting than it brings in work
    with threadpool_limits(1):
        vectors = np.asarray(encoder.encode(texts), np.float32)
    if vectors.shape != (len(texts), encoder.width):
        raise ValueError(
            f"text encoder '{encoder.kind}' returned shape {vectors.shape} "
            f"for {len(texts)} texts of width {encoder.width}"
        )
    if not np.isfinite(vectors).all():
        raise ValueError(f"text encoder '{encoder.kind}' returned a value that is not finite")
    return vectors


def _read(path: Path) -> NDArray[np.float32] | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _LOG.warning("%s cannot be read (%s): encoding the texts again", path, error)
        return None
    array, seal = content[:-_SEAL], content[-_SEAL:]
    if hashlib.sha256(array).digest() != seal:
        _LOG.warning("%s is damaged: encoding the texts again", path)
        return None
    vectors: NDArray[np.float32] = np.load(io.BytesIO(array), allow_pickle=False)
    return vectors


def _write(path: Path, vectors: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    # numpy ignores what follows the array
    seal = hashlib.sha256(buffer.getvalue()).digest()
    try:
        write_atomically(path, buffer.getvalue() + seal)
    except OSError as error:
        _LOG.warning(
            "%s cannot be written (%s): the texts will be encoded again next time", path, error
        )
