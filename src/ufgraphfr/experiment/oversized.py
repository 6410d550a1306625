"""Sizes that somebody set above what there is: they are cut, and that is told."""

from collections.abc import Iterator, Mapping

from ufgraphfr.core.spec import Spec


def oversized(spec: Spec, where: str, available: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each size that was set, not a default, and is above what there is.

    Args:
        spec: the hyper-parameters, with the tables in them.
        where: their table, such as ``[algorithm]``.
        available: how many ``items`` and ``clients`` there are.
    """
    for key in sorted(spec.model_fields_set):
        value, of = getattr(spec, key), spec.counted.get(key)
        if isinstance(value, Spec):
            yield from oversized(value, f"{where[:-1]}.{key}]", available)
            continue
        sizes = value if isinstance(value, tuple) else (value,)
        for size in sizes:
            if not of or size is None or size <= available[of]:
                continue
            yield (
                f"{where} {key} = {size:,} is above the {available[of]:,} {of} there are: "
                f"{available[of]:,} are taken"
            )
