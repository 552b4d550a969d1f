"""`rholaw predict` and `rholaw allocate`."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..checked import shown
from ..command_line import Parser, add_output, show

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("format", "bits", "rise", "low", "high", "measured", "basis", "doubt")
NUMBERS = ("rise", "low", "high", "measured")


def predict(arguments: list[str], prog: str) -> None:
    """What every format would cost a finished model."""
    examples = f"""\
  {prog} my.log                                       logs of llama-perplexity, with or without --kl-divergence
  {prog} --measured q4_k=0.03 --measured q3_k=0.15    nats per token that two formats cost
  {prog} --params 8e9 --formats "nvfp4, mxfp4"        a model of which nothing was measured"""
    description = "What formats would cost a finished model, in nats per token, with 80 % intervals."
    parser = Parser(prog, description, examples)
    parser.add_argument("logs", nargs="*", metavar="LOG", help="of llama-perplexity, all of one model on one text")
    parser.add_argument("--measured", action="append", default=[], metavar="FORMAT=NATS", help="instead of a log")
    parser.add_argument("--params", type=float, help="parameters of the model, where nothing was measured")
    parser.add_argument("--active", type=float, help="parameters that a token meets, of a mixture of experts")
    parser.add_argument("--tokens", type=float, help="tokens that it was trained on, if known")
    parser.add_argument("--method", default="rtn", help="with --params: rtn (the default), ggml, imatrix, gptq, awq, …")
    parser.add_argument("--formats", help="names, with commas between (default: all)")
    add_output(parser)
    chosen = parser.parse_args(arguments)
    if bool(chosen.logs) + bool(chosen.measured) + (chosen.params is not None) != 1:
        raise ValueError(f"give logs, or --measured, or --params; {prog} --help explains")

    from ..fidelity.compared import given
    from ..fidelity.predicted import table
    from ..fidelity.sensitivity import fit_sensitivity

    if chosen.params is not None:
        from ..fidelity.population import prior_sensitivity

        fit = prior_sensitivity(chosen.params, chosen.tokens, chosen.method, chosen.active)
        measured, said = None, []
    else:
        measured, said = (given(chosen.measured), []) if chosen.measured else _logged(chosen.logs)
        fit = fit_sensitivity(measured)
    names = [name.strip() for name in chosen.formats.split(",")] if chosen.formats else None
    rows = table(fit, names, measured)
    if chosen.csv or chosen.json:
        return show(rows, chosen)
    short = rows.round({"bits": 3}).assign(**{name: [float(f"{x:.3g}") for x in rows[name]] for name in NUMBERS})
    show(short, chosen, COLUMNS)
    low, high = fit.intervals["kappa"]
    print(f"\nκ = {fit.kappa:.3g} nats per unit of error, 80 %: {low:.3g} to {high:.3g} ({fit.status})")
    for line in said:
        print(line)


def _logged(paths: list[str]) -> tuple["pd.DataFrame", list[str]]:
    """(what `fit_sensitivity` takes, what there is to say of it) of logs."""
    from ..fidelity.compared import compare
    from ..fidelity.logs import read

    result = compare(run for path in paths for run in read(path))
    metric = "KL divergence from" if result.metric == "kl" else "ln of the perplexity over that of"
    said = [f"rise: nats per token, {metric} {result.reference}"]
    for row in result.table.itertuples():
        said.append(f"{row.place}: {row.format}: {row.rise:.4g} nats" + (f" ({row.doubt})" if row.doubt else ""))
    return result.table, said + [f"left out: {reason}" for reason in result.refused]


def allocate(arguments: list[str], prog: str) -> None:
    """Which tensor of a model gets which type within a budget, and the recipe for it."""
    examples = f"""\
  {prog} Qwen3.6-27B --bytes 10e9 --recipe qwen.recipe
  {prog} model.gguf --bits 4.5 --types "q3_k, q4_k, q6_k" --fix "output.weight=q6_k"
  llama-quantize --tensor-type-file qwen.recipe model-bf16.gguf qwen.gguf q4_k"""
    description = "Which type each tensor of a model should have, to do least damage within a budget of bytes."
    parser = Parser(prog, description, examples)
    parser.add_argument("model", help="a model whose tensors were measured, or the path of a checkpoint")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--bytes", type=float, help="of all tensors together")
    size.add_argument("--bits", type=float, help="the same, a weight")
    parser.add_argument("--types", default="q2_k, q3_k, q4_k, q5_k, q6_k, q8_0", help="(default: %(default)s)")
    parser.add_argument(
        "--fix", action="append", default=[], metavar="TENSOR=TYPE", help="a name or regular expression"
    )
    parser.add_argument("--recipe", type=Path, help="a file for llama-quantize --tensor-type-file or GGUF Tool Suite")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    from .. import files
    from ..fidelity import recipes
    from ..fidelity.allocation import allocate as choose

    if chosen.recipe:
        files.writable(chosen.recipe)
    sensitivities = _sensitivities(chosen.model)
    budget = chosen.bytes if chosen.bytes is not None else chosen.bits * float(sensitivities["weights"].sum()) / 8
    pairs = [text.rpartition("=") for text in chosen.fix]
    if wrong := [text for text, (tensor, _, name) in zip(chosen.fix, pairs, strict=True) if not (tensor and name)]:
        raise ValueError(f"--fix {shown(wrong[0])}: must be a tensor, = and a type, such as output.weight=q6_k")
    fixed = {tensor.strip(): name.strip() for tensor, _, name in pairs}
    done = choose(sensitivities, [name.strip() for name in chosen.types.split(",")], budget, fixed)
    if chosen.recipe:
        recipes.write(done, chosen.recipe)
    if chosen.csv or chosen.json:
        return show(done.table, chosen)
    low, high = done.interval()
    show(done.table.groupby("type", as_index=False)[["weights", "bytes", "rise"]].sum(), chosen)
    print(
        f"\n{done.bytes / 1e9:.3f} GB, {done.bits:.3f} bits a weight: KL divergence {done.rise:.4g} nats a token, "
        f"80 %: {low:.4g} to {high:.4g}; no choice of these types stays below {done.bound:.4g}",
        "\nTo narrow that, measure (all: the whole model in one type; share: of the variance):",
        sep="\n",
    )
    show(done.measure_next(), chosen)


def _sensitivities(model: str) -> "pd.DataFrame":
    """κ of each tensor: measured for a model of the atlas, predicted for the checkpoint at a path."""
    import numpy as np

    from ..checked import unknown
    from ..fidelity import names, parts

    if model in parts.models():
        return parts.tensor_sensitivities(model)
    if not Path(model).expanduser().exists():
        raise ValueError(f"{unknown(model, parts.models(), 'model with measured tensors')}, and there is no such file")

    from ..checkpoints import opening
    from ..fidelity.population import prior_sensitivity

    with opening.open(model) as checkpoint:
        matrices = names.matrices({tensor.name: tensor.shape for tensor in checkpoint.tensors if not tensor.tied})
    prior = prior_sensitivity(float(matrices["weights"].sum()), method="ggml")
    return parts.predicted_sensitivities(matrices, prior.kappa, float(np.log(prior.draws[:, 0]).std()))
