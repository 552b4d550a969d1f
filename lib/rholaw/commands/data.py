"""`rholaw data`."""

import argparse

from .. import tables
from ..command_line import Parser, add_output, show, tell


def data(arguments: list[str], prog: str = "rholaw data") -> int:
    """The tables of data/: checked, changed, added to; returns the exit code, 1 when a table or a file is refused."""
    examples = f"  {prog} check\n  {prog} update runs/quest2025\n  {prog} add-fidelity mine.csv\n"
    examples += f"  {prog} predict runs.csv --fit frozen2026"
    parser = Parser(prog, tables.__doc__.splitlines()[0], examples)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="hold every table against its manifest")
    commands.add_parser("update", help="record a changed table in its manifest").add_argument("name")
    added = commands.add_parser("add-fidelity", help="add measurements of what compression cost to the atlas")
    added.add_argument("file", help="a CSV with the columns of data/fidelity/atlas.csv")
    _add_predict(commands)
    chosen, refused = parser.parse_args(arguments), 0
    if chosen.command == "predict":
        _predict(chosen)
        return 0
    if chosen.command == "add-fidelity":
        from ..fidelity import entries

        names = ["fidelity/atlas"]
        print(f"added    {entries.add(chosen.file)} rows")
    else:
        names = tables.names() if chosen.command == "check" else [chosen.name]
    for name in names:
        try:
            about = tables.update(name) if chosen.command == "update" else tables.manifest(name)
            print(f"ok       {name}: {about.kind}, {len(tables.read(name))} rows")
        except ValueError as error:
            refused = 1
            tell("refused ", error)
    return refused


def _add_predict(commands: argparse._SubParsersAction) -> None:
    what = "hold training runs of yours against laws that were frozen before"
    told = """\
RUNS.csv: a run a line, with n_params (without embeddings), n_tokens, weights and activations (formats, or dense) and
loss.  A format is one of this library: int4 has no zero level and one scale a tensor, as QuEST trains; sint4/g128 has a
zero and a scale for 128 weights (rholaw formats lists all).  Where there is dense_loss, or a dense run of the same
n_params and n_tokens (and series, model, architecture, corpus and seed, where there are such columns), the extra loss
above it is predicted: the level of a loss belongs to its text and tokens, and no law carries it over.  Without, formats
of one model are only compared.  loss_stderr and dense_loss_stderr widen the intervals."""
    parser = commands.add_parser("predict", help=what, description=told)
    parser.add_argument("file", metavar="RUNS.csv")
    parser.add_argument("--fit", default="frozen2026", help="the frozen laws (default: frozen2026)")
    parser.add_argument("--law", help="one of them alone")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: 0.95)")
    parser.add_argument("--unit", help="of the losses: nats, bits or bits-per-byte (default: nats per token)")
    parser.add_argument("--bytes-per-token", type=float, metavar="B", help="with --unit bits-per-byte")
    parser.add_argument("--verdicts", action="store_true", help="only the verdict on each law")
    add_output(parser)


def _predict(chosen: argparse.Namespace) -> None:
    """Prints what frozen laws say of the runs in a file, and what becomes of it."""
    from ..checked import limited, unknown
    from ..laws import frozen, offered, unseen

    limited(chosen.level, "level: share", 0.5, 0.999)
    runs = offered.read(chosen.file, chosen.unit, chosen.bytes_per_token)
    laws = frozen.load(chosen.fit)
    if chosen.law is not None:
        if chosen.law not in laws:
            raise ValueError(unknown(chosen.law, laws, "law"))
        laws = {chosen.law: laws[chosen.law]}
    table = unseen.predicted(runs, laws, chosen.level)
    verdicts = unseen.verdicts(runs, table, laws, chosen.level)
    if chosen.csv or chosen.json:
        return show(verdicts if chosen.verdicts else table, chosen)
    if not chosen.verdicts:
        show(table[table["predicted"].notna()].drop(columns="reason").rename(columns={"row": "line"}), chosen)
        print()
    show(verdicts, chosen)
    hashes = ", ".join(f"{law.name} {law.sha256[:8]}" for law in laws.values())
    taken = "" if chosen.unit else "; losses were taken as nats per token, since no --unit was given"
    print(f"\nextra losses in nats per token above a dense run{taken}")
    told = unseen.with_dense(runs)
    alone, below = told["dense_loss"].isna(), told["loss"] < told["dense_loss"]
    if 2 * below.sum() > (~alone).sum():
        print(f"{below.sum()} of {(~alone).sum()} runs ended below their dense run: is it named rightly, and as long?")
    if alone.any():
        same = ", ".join(name for name in unseen.SAME if name in runs)
        print(f"{alone.sum()} of {len(alone)} runs have no dense run of the same {same}: give it, or its dense_loss")
    for doubt in offered.doubts(runs, chosen.unit):
        print(doubt)
    print(f"{chosen.fit}: {hashes}")
