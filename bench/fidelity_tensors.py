"""The tables of single tensors and recipes, from tables of GGUF Tool Suite; writes four tables in data/fidelity.

    python bench/fidelity_tensors.py FOLDER        # of gguf_models.csv, gguf_tensors.csv, gguf_recipes.csv, …

Tensors of many layers share a row: `blk.*.ffn_up.weight`, layers `0-2 5`.  `rholaw.fidelity.tensors` reads it back.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from rholaw import files, tables
from rholaw.fidelity import tensors

COMMIT = "Thireus/GGUF-Tool-Suite@384c1f85"
SOURCE = f"GGUF Tool Suite by Thireus and its contributors ({COMMIT}), re-tabulated in columns of this project"
LICENCE = "MIT-like, with clear and visible credit to Thireus, GGUF Tool Suite and its contributors"
DATE = "2026-08"
MANIFEST = """title = {title}
class = "published"
source = {source}
licence = {licence}
date = {date}
columns = {columns}
rows = 0
sha256 = "to be filled"
unknown = {unknown}
[units]
{units}
"""


def write(name, frame, title, unknown, units, source=SOURCE, licence=LICENCE, date=DATE):
    """A table and its manifest in data/fidelity."""
    facts = {"title": title, "source": source, "licence": licence, "date": date, "columns": list(frame.columns)}
    facts = {key: json.dumps(value, ensure_ascii=False) for key, value in facts.items()}
    facts["unknown"] = "[\n" + "".join(f"    {json.dumps(line, ensure_ascii=False)},\n" for line in unknown) + "]"
    facts["units"] = "\n".join(f"{column} = {json.dumps(unit)}" for column, unit in units.items())
    (tables.DATA / "fidelity").mkdir(exist_ok=True)
    text = frame.to_csv(index=False, lineterminator="\n")
    files.write(tables.DATA / "fidelity" / f"{name}.csv", text)
    files.write(tables.DATA / "fidelity" / f"{name}.toml", MANIFEST.format(**facts))
    print(f"{name}: {tables.update(f'fidelity/{name}').rows} rows, {len(text)} bytes")


def grouped(frame, keys):
    """A row for the layers of one tensor that share `keys`, in the order of the first of them."""
    parts = frame["tensor"].str.extract(r"^blk\.(\d+)\.(.+)$")
    frame = frame.assign(tensor=("blk.*." + parts[1]).fillna(frame["tensor"]), layers=parts[0])
    rows = frame.groupby([*keys, "tensor"], sort=False)["layers"].agg(
        lambda layers: ranges(layers.dropna().astype(int))
    )
    return rows.reset_index()


def ranges(layers):
    """[0, 1, 2, 5] → "0-2 5"."""
    runs = []
    for layer in sorted(layers):
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def main(folder):
    models = pd.read_csv(folder / "gguf_models.csv", dtype=str, keep_default_na=False)
    alone = pd.read_csv(folder / "gguf_tensors.csv", dtype=str).rename(columns={"kld_nats": "kl"})
    sizes = pd.read_csv(folder / "gguf_tensor_sizes.csv.gz", dtype=str)
    recipes = pd.read_csv(folder / "gguf_recipes.csv", dtype=str)
    types = pd.read_csv(folder / "gguf_recipe_tensors.csv.gz", dtype=str)
    recipes["failed"] = recipes["failed"].str.lower()
    models.loc[models["context"] != "", "context"] = "512"  # of a chunk; the files tell the window of eight chunks

    write(
        "models",
        models.rename(columns={"bf16_perplexity": "perplexity"}),
        "Models whose tensors and recipes are in this folder: sizes, and how they were measured",
        ["all but the weights of GLM-5.2", "the perplexity of models that were too large to run at bf16"],
        {"weights": "all that are stored, embeddings and norms included", "ffn": "width of the dense feed-forward"}
        | {"expert_ffn": "width of one expert", "experts_used": "for each token", "perplexity": "at bf16"}
        | {"context": "tokens of a chunk"},
    )
    write(
        "tensors",
        alone,
        "KL divergence of a model with one tensor compressed and all others as in the reference",
        ["standard errors; what is small is mostly the floor of the reference and the engine",
         "the reference is bf16 only for smaller models: the atlas names it for each model"],
        {"kl": "nats per token, mean over the text of models.csv", "type": "GGUF type of the one tensor"},
    )  # fmt: skip
    write(
        "tensor_sizes",
        grouped(sizes, ["model", "weights"])[["model", "tensor", "layers", "weights"]],
        "The weights of every tensor of these models",
        ["which of the nextn tensors of multi-token prediction an engine uses: they do not change a perplexity"],
        {"weights": "of one tensor", "layers": "for which * stands"},
    )
    write(
        "recipes",
        recipes,
        "Mixed recipes with measured perplexity",
        ["standard errors of the perplexities", "the text: other chunks than in the atlas, by the values of bf16",
         "what failed says: the authors set the recipe aside, for whatever reason",
         "r049, r058, r060: their types give .2 bits more than their names say; r076: 189 tensors without a type"],
        {"bits": "per weight, as in the name of the file", "tensors": "whose type is told", "of": "in the model"},
    )  # fmt: skip
    write(
        "recipe_tensors",
        grouped(types, ["recipe", "type"])[["recipe", "type", "tensor", "layers"]],
        "The type of every tensor in the recipes",
        ["whether types that are told by patterns alone were made with an importance matrix"],
        {"layers": "for which * stands"},
    )
    same(tensors.sizes(), sizes, ["model", "tensor", "weights"])
    same(tensors.recipe_tensors(), types, ["recipe", "tensor", "type"])


def same(read, given, columns):
    """The compact table says what the long one said."""
    left, right = ({tuple(map(str, row)) for row in frame[columns].itertuples(index=False)} for frame in (read, given))
    assert left == right and len(read) == len(given)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
