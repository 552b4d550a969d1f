"""Records the ledger of the running example, data/plans/ledger, by today's plans: python bench/ledger.py"""

from pathlib import Path

from rholaw import files, tables
from rholaw.planning.ledger import RECORDED, made


def main() -> None:
    """The table and its manifest."""
    table = made(Path(__file__).parents[1] / "chapters" / "scenarios")
    path = tables.DATA / f"{RECORDED}.csv"
    files.write(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    tables.update(RECORDED)


if __name__ == "__main__":
    main()
