"""What the columns of a table say: ratings, and what is known of users and items, with its gaps."""

import polars as pl

from ufgraphfr.data.missing import plain, unquoted


def ratings_in(rows: pl.DataFrame) -> dict[str, int] | None:
    """How many rows have each rating, ascending."""
    if "rating" not in rows.columns:
        return None
    counts = rows.select(pl.col("rating").cast(pl.Float64)).group_by("rating").len().sort("rating")
    return {f"{rating:g}": count for rating, count in counts.iter_rows()}


def known_of(rows: pl.DataFrame, key: str, file: str) -> tuple[pl.DataFrame, list[str]]:
    """What the rows say but for the key, `plain`, and a note of how much is missing."""
    names = [name for name in rows.columns if name != key]
    values = {name: [plain(value) for value in rows[name]] for name in names}
    gaps = {name: column.count("") for name, column in values.items()}
    counts = ", ".join(f"{name} of {gap:,}" for name, gap in gaps.items() if gap)
    note = [f"{file}: missing of {len(rows):,} rows: {counts}"] if counts else []
    texts = (text for name in names for text in rows[name] if text and '"' in text)
    if stray := sum(unquoted(text.strip()) != text.strip() for text in texts):
        note.append(f"{file}: {stray:,} values have a quotation mark at one end alone: taken off")
    return pl.DataFrame({key: rows[key], **values}), note
