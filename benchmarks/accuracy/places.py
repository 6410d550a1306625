"""MovieLens-100K as a table of one's own whose users say in which state they live.

    python benchmarks/accuracy/places.py places
    ufgraphfr run places/with.toml        # and without.toml

The zip code, which the data set's own sentences leave out, becomes the name of a state. Whether a
model gains by it is the difference of the two experiments.
"""

import argparse
from pathlib import Path

import polars as pl

from ufgraphfr.core.folders import cache_folder
from ufgraphfr.data.export import INTERACTIONS, USERS, export_users
from ufgraphfr.data.sources.ml_100k import MovieLens100K

# fmt: off
STATES = {
    6: "Puerto Rico", 9: "a military base", 27: "Massachusetts", 29: "Rhode Island",
    38: "New Hampshire", 49: "Maine", 59: "Vermont", 69: "Connecticut", 89: "New Jersey",
    149: "New York", 196: "Pennsylvania", 199: "Delaware", 205: "Washington, D.C.",
    219: "Maryland", 246: "Virginia", 268: "West Virginia", 289: "North Carolina",
    299: "South Carolina", 319: "Georgia", 349: "Florida", 369: "Alabama", 385: "Tennessee",
    397: "Mississippi", 399: "Georgia", 427: "Kentucky", 459: "Ohio", 479: "Indiana",
    499: "Michigan", 528: "Iowa", 549: "Wisconsin", 567: "Minnesota", 577: "South Dakota",
    588: "North Dakota", 599: "Montana", 629: "Illinois", 658: "Missouri", 679: "Kansas",
    693: "Nebraska", 714: "Louisiana", 729: "Arkansas", 749: "Oklahoma", 799: "Texas",
    816: "Colorado", 831: "Wyoming", 838: "Idaho", 847: "Utah", 865: "Arizona", 884: "New Mexico",
    885: "Texas", 898: "Nevada", 961: "California", 966: "a military base", 968: "Hawaii",
    969: "Guam", 979: "Oregon", 994: "Washington", 999: "Alaska",
}
# fmt: on
"""The last three-digit zip code prefix of each state, ascending."""

SETTINGS = """\
name = "places-{name}"
seed = 0

[data]
kind = "table"
name = "ml-100k with places"
interactions = "interactions.parquet"
users = "users.parquet"
items = "items.csv"
template = "{template}"

[protocol]
cold_users = 0.1

[algorithm]
kind = "ufgraphformer"

[federation]
rounds = 168
cohort = 64

[federation.upload]
codec = "int4"

[evaluation]
every = 40
"""


def main() -> None:
    """Write tables and experiments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to")
    folder = parser.parse_args().folder
    data = MovieLens100K().load()
    export_users(data, 0, data.interactions.n_users, folder)
    zips = _zip_codes()
    users = pl.read_parquet(folder / USERS)
    places = [place(zips[user]) for user in users["user"].to_list()]
    users.with_columns(pl.Series("place", places)).write_parquet(folder / USERS)
    features = {
        name: ["|".join(values) for values in feature]
        for name, feature in data.catalogue.features.items()
    }
    items = {"item": data.catalogue.items, "title": data.catalogue.titles, **features}
    pl.DataFrame(items).write_csv(folder / "items.csv")
    for name, template in {"without": "{text}", "with": "{text} Lives in {place}."}.items():
        settings = SETTINGS.replace("{name}", name).replace("{template}", template)
        (folder / f"{name}.toml").write_text(settings, encoding="utf-8")
    lived = sum(place != "another country" for place in places)
    print(f"{folder}: {len(places)} users, {lived} in a state; {INTERACTIONS}, {USERS}, items.csv")


def place(code: str) -> str:
    """The state of a zip code."""
    if not (code.isdigit() and len(code) == 5):
        return "another country"
    return next(name for last, name in STATES.items() if int(code[:3]) <= last)


def _zip_codes() -> dict[str, str]:
    """Of each user, from the files that the data set was read from."""
    folder = cache_folder("datasets", "ml-100k")
    official = (folder / "u.user").is_file()
    lines = (folder / ("u.user" if official else "ml-100k.user")).read_text("latin-1").splitlines()
    rows = [line.split("|" if official else "\t") for line in lines[not official :]]
    return {row[0]: row[-1] for row in rows}


if __name__ == "__main__":
    main()
