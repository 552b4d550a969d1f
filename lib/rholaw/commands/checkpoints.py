"""`rholaw survey` and `rholaw evaluate`."""

import sys
from pathlib import Path

from ..command_line import Parser, add_output, show

COLUMNS = ("name", "role", "format", "error", "ratio", "rho", "bits", "note")
LOSSES = ("format", "kl", "kl_stderr", "rise", "stderr", "bits", "coverage", "quantised")
TOTALS = ("format", "compressed", "error", "ratio", "rho", "rho_low", "rho_high", "bits", "bytes", "worst")


def survey(arguments: list[str], prog: str) -> None:
    """What formats would do to the tensors of a checkpoint."""
    examples = f'  {prog} model.safetensors --formats "int4, nvfp4"\n  {prog} FOLDER --totals --out survey.csv'
    description = "What formats would do to each tensor of a checkpoint, which is only read: error, capacity, bytes."
    parser = Parser(prog, description, examples)
    parser.add_argument("path", help="a file or folder of safetensors, GGUF or PyTorch, or a model in the hub's cache")
    parser.add_argument("--formats", default="int4, sint4/g128, mxfp4, nvfp4", help="(default: %(default)s)")
    parser.add_argument("--totals", action="store_true", help="a row a format; what engines keep stays dense")
    parser.add_argument("--rotation", type=int, default=128, help="size of the rotation that is tried; 0 for none")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, help="a .csv or .parquet for the survey; an interrupted one goes on there")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    from ..checkpoints.summing import doubt, totals
    from ..checkpoints.surveying import survey as measure

    table = measure(
        chosen.path, chosen.formats, rotation=chosen.rotation, device=chosen.device, out=chosen.out, progress=True
    )
    why = doubt(table)
    if chosen.totals:
        table = totals(table)
        show(table if "format" in table else table.rename_axis("format").reset_index(), chosen, TOTALS)
    else:
        show(table, chosen, COLUMNS)
    if why:
        print(f"rholaw: {chosen.path}: nothing follows from these numbers for the model. {why}.", file=sys.stderr)


def evaluate(arguments: list[str], prog: str) -> None:
    """What formats would cost a language model, on a text."""
    examples = f'  {prog} FOLDER --formats "int4/g64, nvfp4" --text my.txt\n  {prog} model.gguf --out rises.csv --csv'
    description = (
        "What rounding its matrices costs a language model: KL divergence and rise of the loss, in nats per token."
    )
    parser = Parser(prog, description, examples)
    parser.add_argument("path", help="a folder of the hub with its tokenizer.json, or a GGUF file")
    parser.add_argument("--formats", default="fp8_row, int4/g32, nvfp4", help="(default: %(default)s)")
    parser.add_argument("--text", default="shakespeare", help="a text file; or shakespeare (the default) or python")
    parser.add_argument(
        "--activations", help="the format of the matrices' inputs, such as sint8/row, fp8_row or nvfp4; or static"
    )
    parser.add_argument(
        "--cache", help="the format of keys and values, a row a token and head, such as fp8_row or q8_0; or static"
    )
    parser.add_argument("--count", type=int, default=16, help="blocks of the text (default: %(default)s)")
    parser.add_argument("--length", type=int, default=256, help="tokens of a block (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, help="a .csv or .parquet for the table; an interrupted one goes on there")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    from ..checkpoints.evaluating import evaluate as measure

    asked = {
        name: getattr(chosen, name) for name in ("text", "activations", "cache", "count", "length", "device", "out")
    }
    show(measure(chosen.path, chosen.formats, **asked), chosen, LOSSES)
