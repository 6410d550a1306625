"""One form of film titles: ``The Usual Suspects (1995)``.

MovieLens files write ``Usual Suspects, The (1995)``; other layouts keep the year in a column.
"""

import re

_YEAR = re.compile(r"\s*\((\d{4})\)")
_ALTERNATIVE = re.compile(r"\(([^()]*)\)")
# a trailing article after a comma, in the languages of the MovieLens catalogues; single letters
# other than A are left alone, because they also number sequels
_ARTICLE = re.compile(r"^(.+), (The|A|An|La|Le|Les|L'|Il|El|Los|Las|Das|Der|Die|Det)$")


def film_title(raw: str) -> tuple[str, str]:
    """The title in its one form, and the year.

    Args:
        raw: a title with the year in parentheses at or near its end, articles in front or behind.

    Returns:
        ``("The Usual Suspects (1995)", "1995")``; the year is empty if there is none.
    """
    text = " ".join(raw.split())
    years = list(_YEAR.finditer(text))
    year = years[-1].group(1) if years else ""
    name = text[: years[-1].start()] if years else text
    name = _ALTERNATIVE.sub(lambda match: f"({_article_first(match.group(1))})", name)
    head, bracket, tail = name.partition(" (")
    name = _article_first(head) + bracket + tail
    return (f"{name} ({year})".strip() if year else name), year


def _article_first(name: str) -> str:
    match = _ARTICLE.match(name)
    if match is None:
        return name
    rest, article = match.groups()
    return f"{article}{rest}" if article.endswith("'") else f"{article} {rest}"
