"""Logs of llama-perplexity in its layouts, written here with numbers of one's own."""

LOADED = """\
llama_model_loader: loaded meta data with 22 key-value pairs and 291 tensors from {file} (version GGUF V3 (latest))
llama_model_loader: - kv   0:                       general.architecture str              = llama
{importance}{types}
{info}: file format = GGUF V3 (latest)
{info}: {size}   = 4.58 GiB ({bits} BPW)
{info}: model params     = {params} B
llama_context: n_ctx         = {context}
"""
IMPORTANCE = "llama_model_loader: - kv  21:            quantize.imatrix.entries_count i32              = 224\n"
DIVERGENCE = """\
chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS
   1       4.7096 ±    0.8713       0.00120 ±    0.00210       0.00330 ±    0.00020     2.100 ±  0.210 %

 {chunks}       {ppl} ±    0.0391       {ratio} ±    0.00058       {kl} ±    0.00024     5.000 ±  0.030 %

====== Perplexity statistics ======
Mean PPL(Q)                   :   {ppl} ±   0.039119
Mean PPL(base)                :   {base} ±   0.037825
Cor(ln(PPL(Q)), ln(PPL(base))):  99.00%
Mean ln(PPL(Q)/PPL(base))     :   {ratio} ±   0.000580
Mean PPL(Q)/PPL(base)         :   1.028160 ±   0.000600

====== KL divergence statistics ======
Mean    KLD:   {kl} ±   {stderr}
Maximum KLD:  10.123456
99.9%   KLD:   1.234567
Median  KLD:   0.004321

====== Token probability statistics ======
Mean    Δp: -0.596 ± 0.014 %
Same top p: 91.901 ± 0.072 %
"""
EARLY = """\
chunk        PPL          ln(PPL(Q)/PPL(base))          KL-Divergence           Same top
   1        9.1201       0.30112 ±    0.05511       0.40125 ±    0.03311    0.73725 ± 0.02762
 {chunks}        9.7516       0.44722 ±    0.00362       {kl} ±    0.00184    0.71138 ± 0.00119

===== KL-divergence statistics
Average:   {kl} ±  {stderr}
Median :   0.201003
"""
TYPES = {  # of a Llama of 8 billion: tensors of each type, bits per weight
    "f16": ({"f32": 65, "f16": 226}, 16.0),
    "q8_0": ({"f32": 65, "q8_0": 226}, 8.5),
    "q4_k_m": ({"f32": 65, "q4_K": 193, "q6_K": 33}, 4.89),
    "q3_k_s": ({"f32": 65, "q3_K": 225, "q6_K": 1}, 3.64),
    "q2_k": ({"f32": 65, "q2_K": 129, "q3_K": 64, "q4_K": 32, "q6_K": 1}, 3.16),
}


def loaded(name, info="print_info", params=8.03, context=512, importance=False):
    """What the loader says of a file of that type."""
    types, bits = TYPES[name]
    lines = "\n".join(f"llama_model_loader: - type {kind:>4}: {count:4d} tensors" for kind, count in types.items())
    size = "file size" if info == "print_info" else "model size"
    file, told = f"Some-8B-{name.upper()}.gguf", IMPORTANCE if importance else ""
    return LOADED.format(**locals() | {"types": lines, "importance": told})


def perplexity(ppl, stderr=0.0391, chunks=564, context=512, layout="now"):
    """What a run without --kl-divergence says; layout: "now", "2023", or "ik" for ik_llama.cpp."""
    told = "" if layout == "2023" else f", n_ctx={context}"
    over = f" over {chunks} chunks for n_ctx={context}" if layout == "ik" else ""
    return (
        f"perplexity: calculating perplexity over {chunks} chunks{told}, batch_size=2048, n_seq=4\n"
        f"perplexity: 2.31 seconds per pass - ETA 5.42 minutes\n[1]4.5970,[2]5.0123,[{chunks}]{ppl},\n"
        f"Final estimate: PPL{over} = {ppl} +/- {stderr}\n\nllama_perf_context_print:        load time =  1.00 ms\n"
    )


def divergence(kl, stderr="0.000240", ratio="0.027771", ppl="6.407115", base="6.231634", chunks=564, layout=DIVERGENCE):
    """What a run with --kl-divergence says."""
    return layout.format(**locals())
