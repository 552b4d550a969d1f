"""The atlas of what compression after training cost, from files of published facts; writes data/fidelity/atlas.

    python bench/build_fidelity.py FOLDER      # of gguf_whole.csv, other_sources.csv, papers_and_cards.csv, …

One row is one measurement.  What is doubtful stays with its reason in `doubt`; what cannot be used or checked is left
out, and counted by reason at the end.  Rows of sources that are not in these files, which others have added, stay.
First bench/fidelity_tensors.py FOLDER, for single tensors and recipes.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from fidelity_tensors import COMMIT, LICENCE, SOURCE, write

import rholaw as rl
from rholaw import tables
from rholaw.fidelity import atlas, tensors

WIKITEXT = "WikiText-2 test"
SUITE = "GGUF Tool Suite"
# Types of llama.cpp that hold one type in nearly all matrices; _M and _L and the smaller iq types are mixtures.
NEARLY = {"q3_k_s": "q3_k", "q4_k_s": "q4_k", "q5_k_s": "q5_k"}
PURITY = {"no": "pure", "mostly": "mostly", "yes": "mixed", "": "unknown", "unknown": "unknown"}
METHODS = {  # calibration as the fact files call it → the atlas's word
    **{"none": "rtn", "auto-round": "autoround", "imatrix-like rtn": "scale-search", "scale search": "scale-search"},
    **{"scale estimation": "scale-search", "gptq + scale estimation": "gptq", "aqlm + fine-tuning": "aqlm"},
    **{"aqlm + pv-tuning": "pv-tuning", "low-rank": "low-rank", "weighted svd": "low-rank", "exl3/ldlq": "ldlq"},
    **{"data-aware mix": "rtn", "static scales": "rtn", "calibrated (ModelOpt)": "modelopt"},
    **{"calibrated (ModelOpt / unsloth)": "modelopt", "quip#": "quip", "rtn-ggml": "ggml", "aqlm-pv": "pv-tuning"},
}
ACTIVATIONS = {
    "unknown (4 or 16)": "unknown",
    "16 (q8 inside the kernels)": "q8 in kernels",
    "4 (same format)": "4",
    "4/8 (same format)": "4 and 8",
}
METRICS = {"kld_mean": "kl", "ce_nats": "ce"}
MODELS = {"Mistral-7B": "Mistral-7B-v0.1", "LLaMA-1-30B": "LLaMA-33B"}  # one name for one model
FAMILIES = {"opt": "OPT", "bloom": "BLOOM", "llama1": "LLaMA", "llama2": "Llama-2", "mistral": "Mistral"}
TOKENS = {"Qwen3-4B-Instruct-2507": 36_000_000_000_000, "DeepSeek-V3.1-Terminus": 14_800_000_000_000}  # as their family
CREDITS = {
    **{"gguf": "Thireus", "llamacpp": "the authors of llama.cpp", "ik": "the authors of ik_llama.cpp"},
    **{"autoround": "the authors of AutoRound (Intel)", "nncf": "the authors of NNCF (OpenVINO)"},
    **{"torchao": "the authors of torchao (PyTorch)", "executorch": "the authors of ExecuTorch (PyTorch)"},
    **{"aqlm": "the authors of AQLM", "gptq_for": "qwopqwop200", "hf_qwen2": "the Qwen team"},
    **{"hf_ikawrakow": "ikawrakow", "hf_nugptq": "smpanaro", "hf_atomic": "AtomicChat", "atomic": "AtomicBot-ai"},
    **{"nvfp4": "sch0tten", "phaelon74": "phaelon74", "rtx6kpro": "local-inference-lab", "parameter": "OpenAI"},
    **{"llmcompressor": "the authors of llm-compressor (vLLM)", "gptq": "Frantar et al. 2022"},
    **{"omniquant": "Shao et al. 2023", "glvq": "Tseng et al. 2024, as compared by the authors of GLVQ"},
}


def credit(source):
    """Who published a source, by the longest beginning of its name that is known."""
    return CREDITS[max((name for name in CREDITS if source.startswith(name)), key=len)]


def text(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def gguf(folder):
    """Whole models in one type each: KL, and perplexity where that of the reference is known too."""
    models, sizes = tensors.models().set_index("model"), tensors.sizes()
    experts = sizes[sizes["tensor"].str.contains("_exps.")].groupby("model")["weights"].sum()
    for row in text(folder / "gguf_whole.csv").to_dict("records"):
        about = models.loc[row["model"]]
        used = about["experts_used"] / about["experts"] if about["experts"] > 0 else np.nan
        active = about["weights"] - experts.get(row["model"], 0) * (1 - used) if row["model"] in experts else ""
        shares = dict(part.split("=") for part in row["shares"].split("|") if part)
        largest = max(shares, key=lambda name: float(shares[name])) if shares else row["type"]
        share = float(shares.get(largest, "nan")) / (1 - float(shares.get("f32", 0)))
        purity = "unknown" if not shares else "pure" if share >= 0.99 else "mostly" if share >= 0.9 else "mixed"
        reference = "bf16" if row["reference"] == "bf16" else row["reference"] or "unknown"
        common = {
            **{"source": "gguf_tool_suite", "model": row["model"], "n_params": int(about["weights"])},
            **{"n_active": "" if active == "" or np.isnan(active) else round(active)},
            **{"n_tokens": TOKENS.get(row["model"], ""), "family": re.match(r"[A-Za-z]+-?[\d.]*", row["model"])[0]},
            **{"format": largest if purity in ("pure", "mostly") else row["type"], "given": row["type"]},
            **{"bits": row["bits"], "purity": purity, "shares": row["shares"]},
            **{"method": "ggml" if row["type"] in ("q8_0", "q8_kv") else "imatrix", "activations": "q8 in kernels"},
            # The files tell the size of the window, 4,096 or 512: their logs say that it holds chunks of 512.
            **{"corpus": "calibration corpus v02 of ubergarm", "context": "512", "reference": reference},
            **{"engine": "ik_llama.cpp", "place": f"{COMMIT}:models/{row['model']}", "licence": "MIT, with credit"},
            **{"date": "2026-08", "credit": "GGUF Tool Suite by Thireus and its contributors", "doubt": ""},
        }
        if row["type"].endswith("_bn"):
            common["doubt"] = "a type for models that were trained ternary"
        yield common | {"metric": "kl", "value": row["kld_nats"]}
        base = about["perplexity"] if reference == "bf16" else np.nan
        yield common | {"metric": "ppl", "value": row["perplexity"], "base": "" if np.isnan(base) else base}


def named(row):
    """The format of a row in the grammar, or the name of an inferred type; "" where neither says what it is."""
    given, known = row["format_as_given"], row["rholaw_format"].replace(":fp16:zero", ":zero")
    if known:
        return "q6_0" if known == "fint6/g32:fp16:signmax" else known
    block = lambda size: "row" if size in ("-1", "", None) else f"g{size}"  # noqa: E731
    if row["mixed"] == "yes" and given.lower() not in NEARLY:
        return ""
    if match := re.match(r"W(\d)G(-1|\d+) (RTN|GPTQ|AWQ|Omniquant|Ours)|GPTQ (\d)(?: g(\d+))?$", given):
        bits, size = match[1] or match[4], match[2] or match[5]
        return f"uint{bits}/{block(size)}:zero"
    if match := re.match(r"W(\d)G(-1|\d+) HQQ|uintx-(\d)-(\d+)-hqq", given):
        return f"uint{match[1] or match[3]}/{block(match[2] or match[4])}"  # its zero point is no integer
    if match := re.match(r"W(\d)A16(?:G(\d+))? OPT-RTN", given):
        return f"fint{match[1]}/g{match[2] or 128}"
    if match := re.match(r"W(\d)G(\d+) AutoRound (asymmetric|full-range)", given):
        return f"uint{match[1]}/g{match[2]}:zero" if match[3] == "asymmetric" else f"fint{match[1]}/g{match[2]}"
    if match := re.match(r"(MXFP4|NVFP4) (AutoRound|ocp|OPT)", given):
        return match[1].lower()
    if match := re.match(r"int4_sym_(?:g(\d+)_)?r100(?:_gs(\d+))?", given):
        return f"fint4/g{match[1] or match[2]}"
    if match := re.match(r"groupwise 4-bit \((\d+)\)", given):
        return f"sint4/g{match[1]}"
    exact = {
        **{"int8dq": "sint8/row", "int4wo-64-GPTQ": "uint4/g64", "float8dq (PerTensor)": "fp8_tensor"},
        **{"float8dq (PerRow)": "fp8_row", "AWQ (g128, 4 bit)": "uint4/g128:zero", "W4G128 GPTQ*": "uint4/g128:zero"},
        **{"AWQ int4 g128 asymmetric": "uint4/g128:zero", "AWQ int4 g32 symmetric": "fint4/g32"},
        **{"QTIP 2 bit, no fine-tuning": "trellis2", "AWQ + Q4_0": "q4_0", "AWQ + Q4_1": "q4_1"},
    }
    if given in exact:
        return exact[given]
    if given.lower() in NEARLY:
        return NEARLY[given.lower()]
    name = re.sub(r"^(pure |all |IQK-6: all |ubergarm/(smol-)?)|[ ,].*$", "", given).lower().removesuffix("_r4")
    return name if name in atlas.INFERRED or (re.match(r"i?q\d", name) and name in rl.catalogue()) else ""


def version(row):
    """What tells two rows of one name apart: the quantiser, the text of the importance matrix, the programme."""
    if match := re.search(r"quantiser: ([^;]+)", row["notes"]):
        return match[1]
    if row["source_id"] in ("ik_511", "ik_53", "ik_624"):
        return row["engine_version_or_commit"].removeprefix("#511 ")
    if match := re.search(r"imatrix (WT \w+)", row["notes"]):
        return f"imatrix {match[1]}"
    return row["notes"] if row["notes"].startswith(("versions ", "second ")) else ""


def doubt(row):
    """Why a row is not to be used in fits, if it is not."""
    source, notes = row["source_id"], row["notes"]
    if source == "hf_atomic_dsv4":
        return "the reference holds 4 and 8 bits itself: a floor near .155"
    if source == "ik_334":
        return "the checkpoint was trained for q4_0: its weights lie near that grid"
    if source == "phaelon74_vllm":
        return "data of a plotting example: methods and the odd size of its base are not explained"
    if "KV cache" in row["activations"] or "K cache Q8_KV" in notes:
        return "the cache of keys and values is compressed too"
    if source == "llamacpp_25153" or source == "atomic_66":
        return "which tensors stay higher is not told"
    if "prompt or extraction broken" in notes or "thinking text counted" in notes:
        return "the score of the reference is broken"
    if source == "ik_295" and "quantiser: main" in notes and row["format_as_given"] in ("Q4_0", "Q5_0"):
        return "the source shows this quantiser as one that can fail with an importance matrix"
    if source == "aqlm":
        return "the perplexity of the reference is of other papers"
    return ""


def others(folder, dropped):
    """Threads, READMEs, model cards and benchmarks."""
    for row in text(folder / "other_sources.csv").to_dict("records"):
        reason = ""
        if row["source_id"] == "quant_learnings":
            reason = "no address of the source is known"
        elif row["model"].startswith("unnamed"):
            reason = "the source does not name the model"
        if reason:
            dropped[reason] += 1
            continue
        metric = METRICS.get(row["metric"], row["metric"])
        if metric == "ppl" and re.search("word", row["corpus"]):
            metric = "word_ppl"
        method = METHODS.get(row["calibrated"], row["calibrated"])
        method = "qat" if method.startswith("qat") else method
        ggml = "llama.cpp" in row["engine"]
        if ggml and method == "rtn":
            method = "ggml"
        suffix = version(row)
        place = re.sub(
            r" \(read from .*?\)$|, copies by find_string| \(store ids? .*|\(copy, store id \d+\)", "", row["location"]
        )
        reference = row["base_type"]
        match = re.search(r"base(?: of 512)?(?::| from) ([^;(]+)", row["notes"])
        if match and row["source_id"].startswith("ik_"):
            reference = f"{reference} of {match[1].strip()}"
        purity = PURITY[row["mixed"]]
        if ggml and row["format_as_given"].lower() in NEARLY:
            purity = "mostly"
        if "fall back to another type" in row["notes"]:
            purity = "mixed"
        yield {
            **{
                key: row[key]
                for key in ("model", "n_params", "n_active", "family", "corpus", "context", "engine", "date")
            },
            **{"source": row["source_id"], "n_tokens": row["n_tokens_trained"], "format": named(row)},
            **{"given": row["format_as_given"] + (f", {suffix}" if suffix else ""), "bits": row["bits_per_weight"]},
            **{"purity": purity, "shares": "", "method": method},
            **{"activations": ACTIVATIONS.get(row["activations"], row["activations"].replace("16; KV cache", "KV"))},
            **{"metric": metric, "value": row["value"], "stderr": row["value_stderr"], "base": row["base_value"]},
            **{"reference": reference, "place": place.strip(), "licence": row["licence_if_known"] or "not stated"},
            **{"credit": credit(row["source_id"]), "doubt": doubt(row)},
        }


PAPERS = {
    "GPTQ,": ("gptq_paper", "GPTQ (arXiv 2210.17323), tables 2 and 3", "2022-10", "GPTQ"),
    "OmniQuant": ("omniquant_paper", "OmniQuant (arXiv 2308.13137), table 1", "2023-08", "OmniQuant"),
    "QuIP#": ("glvq_paper", "GLVQ (arXiv 2510.20984), its columns for QuIP# and QTIP at 2 bits", "2025-10", "GLVQ"),
}


def papers(folder, dropped):
    """Tables of papers; what model cards and READMEs repeat of `others` is left out."""
    for row in text(folder / "papers_and_cards.csv").to_dict("records"):
        about = [PAPERS[name] for name in PAPERS if row["source"].startswith(name)]
        if not about:
            dropped["in two fact files: the fuller one is kept"] += 1
            continue
        ((source, place, date, engine),) = about
        model = MODELS.get(row["model"], row["model"]).replace("LLaMA-1-", "LLaMA-")
        corpus, context = re.match(r"ppl (\w+) ctx(\d+)", row["metric"]).groups()
        yield {
            **{"source": source, "model": model, "n_params": row["n_params"].removesuffix(".0")},
            **{"n_active": "", "n_tokens": row["n_tokens_trained"].removesuffix(".0")},
            **{"family": FAMILIES[row["family"]], "format": row["rholaw_format"].replace(":fp16:zero", ":zero")},
            **{"given": row["format_as_given"], "bits": row["bits"], "purity": "pure", "shares": ""},
            **{"method": METHODS.get(row["method"], row["method"]), "activations": "16", "metric": "ppl"},
            **{"value": row["value"], "stderr": row["stderr"], "base": row["dense_value"], "reference": "fp16"},
            **{"corpus": {"wikitext2": WIKITEXT}[corpus], "context": context, "engine": f"{engine}, PyTorch"},
            **{"place": place, "licence": "CC BY 4.0", "date": date, "credit": credit(source)},
            "doubt": "fine-tuned after rounding, and told by another paper" if source == "glvq_paper" else "",
        }


def golf(folder, dropped):
    """Models of 16 MB, before and after rounding: bits per byte, of which nats per token do not follow."""
    for row in text(folder / "parameter_golf.csv").to_dict("records"):
        if not (row["bpb_before"] and row["bpb_after"]):
            dropped["parameter-golf: no value before or none after rounding"] += 1
            continue
        given, kind = row["weight_format"], row["method"]
        format = re.sub(r"^int([468]) per row$", r"sint\1/row", given)
        spread = float(row["gap_sd"]) / int(row["seeds"]) ** 0.5 if row["gap_sd"] else ""
        yield {
            **{"source": "parameter_golf", "model": f"parameter-golf {row['record_id']}", "n_active": ""},
            **{"n_params": row["n_params"].removesuffix(".0"), "n_tokens": row["training_tokens"].removesuffix(".0")},
            **{"family": "parameter-golf", "format": "" if format == given else format, "given": given, "bits": ""},
            **{"purity": "mostly" if format != given else "mixed", "shares": f"embedding: {row['embedding_format']}"},
            **{"method": "qat" if "qat" in kind else "gptq" if "GPTQ" in kind else "rtn", "activations": "16"},
            **{"metric": "bpb", "value": row["bpb_after"], "stderr": spread, "base": row["bpb_before"]},
            **{"reference": row["before_is"], "corpus": "FineWeb validation", "context": row["sequence"]},
            **{"engine": "PyTorch", "place": row["path"], "licence": row["licence"], "date": row["date"]},
            **{"credit": "the authors of the records of openai/parameter-golf", "doubt": row["flags"]},
        }


def better_than_reference(frame):
    """Groups in which a compressed model reads clearly better than its reference: the difference is no damage there."""
    rises = frame["rise"].where(frame["metric"].isin(["ppl", "ce"]))
    return rises.groupby([frame[name] for name in ("source", "model", "corpus", "context")]).transform("min") < -0.003


def main(folder):
    dropped = Counter()
    rows = [*gguf(folder), *others(folder, dropped), *papers(folder, dropped), *golf(folder, dropped)]
    frame = pd.DataFrame(rows, columns=atlas.COLUMNS).fillna("").astype(str)
    for column in ("n_params", "n_active", "n_tokens", "family"):  # a model has one of each, the first that is told
        known = frame[frame[column] != ""].groupby("model")[column].first()
        frame[column] = frame["model"].map(known).fillna("")
    twice = frame.duplicated(atlas.KEY, keep="first")
    for _, row in frame[twice].iterrows():
        dropped[f"there twice in {row['source']}"] += 1
    frame = frame[~twice].reset_index(drop=True)
    missing = (frame["base"] == "") & frame["metric"].isin(["ppl", "word_ppl", "ce", "bpb", "task"])
    frame.loc[missing & (frame["doubt"] == ""), "doubt"] = "no value of the reference"
    told = (frame["purity"] == "pure") & (frame["bits"] != "") & ~frame["format"].isin(["", *atlas.INFERRED])
    extra = frame[told]["bits"].astype(float) - frame[told]["format"].map(lambda name: rl.parse(name).bits)
    frame.loc[extra.index[extra > 0.3], "purity"] = "mostly"  # embeddings in 16 bits
    read = atlas.derived(frame)
    worse = better_than_reference(read) & frame["metric"].isin(["ppl", "ce"]) & (frame["doubt"] == "")
    frame.loc[worse, "doubt"] = "some compressed models read better than the reference here"
    before = text(tables.DATA / f"{atlas.TABLE}.csv")
    frame = pd.concat([frame, before[~before["source"].isin(frame["source"])]], ignore_index=True)
    unknown = [
        "a few numbers of papers were read from transcriptions; spot checks agree with the papers",
        "the text of GGUF Tool Suite's KL may be the one that its importance matrices were made from",
        "perplexities of other engines, contexts or texts are not comparable: base is of the same source and text",
        "left out: " + "; ".join(f"{reason} ({count})" for reason, count in dropped.items()),
    ]
    units = {
        **{"n_active": "weights a token meets, where these are fewer", "bits": "per weight, scales included"},
        **{"value": "nats per token for kl and ce", "stderr": "of value", "base": "value of the reference"},
    }
    source = f"{frame['source'].nunique()} sources, each named in its rows; the largest: {SOURCE}"
    licence = f"of each row; {LICENCE}; otherwise MIT, Apache-2.0, BSD-3-Clause, CC BY 4.0: numbers only"
    title = "What compression after training cost: published measurements"
    write("atlas", frame, title, unknown, units, source, licence, "2022 to 2026-08")
    print(frame.groupby("source").size().to_string(), frame.groupby("metric").size().to_string(), sep="\n")
    print(frame["doubt"].value_counts().to_string(), *dropped.items(), sep="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
