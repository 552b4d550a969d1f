"""Files that are no checkpoint that can be read here: what they are, and what makes one of them.

told("model.onnx")      "an ONNX graph: give the checkpoint that it was exported from"
"""

import re

NUMPY = (
    "arrays of NumPy: safetensors.numpy.save_file(dict(numpy.load(FILE)), 'model.safetensors') writes what can be read"
)
KERAS = "weights of Keras or TensorFlow: load the model there, and save its arrays by safetensors.numpy.save_file"
PACKED = "a packed folder: unpack it, and give the folder"
DCP = "a part of a distributed checkpoint, which "
DCP += "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt joins"
DEEPSPEED = "a part of DeepSpeed's state: python zero_to_fp32.py . OUTPUT, in the folder above, joins the weights"
SERVED = "of vLLM's save_sharded_state, weights as its kernels take them: give the checkpoint that they were made from"
OLD = "a file of llama.cpp from before GGUF: convert the model anew by its convert_hf_to_gguf.py"
PARAMS = "the description of a model as Meta and Mistral lay it out: give the folder for transformers, with config.json"
NAMES = {
    r"params\.json": PARAMS,
    r".*\.onnx(_data|\.data)?": "an ONNX graph: give the checkpoint that it was exported from",
    r".*\.(h5|hdf5|keras|index|data-\d+-of-\d+|pb)|checkpoint": KERAS,
    r".*\.(msgpack|flax)": "weights of Flax: flax.serialization.msgpack_restore, then safetensors.flax.save_file",
    r".*\.(tflite|litertlm|mlmodel|mlpackage|mnn|param|engine|plan|ptl|pte|hef|rknn|dlc)|openvino_.*": (
        "a model compiled for one engine: give the checkpoint that it was made from"
    ),
    r".*\.np[yz]": NUMPY,
    r".*\.nemo": "an archive of NeMo: tar -xf unpacks it, and model_weights.ckpt in it can be read",
    r".*\.(zip|tar|tgz|gz|bz2|xz|zst|7z|rar|llamafile)": PACKED,
    r".*\.(distcp|metadata)|\.metadata": DCP,
    r"(bf16_|fp16_)?zero_pp_rank_.*|.*_optim_states\.pt": DEEPSPEED,
    r"manifest\.ocdbt|_checkpoint_metadata": "a checkpoint of Orbax: restore it in JAX, save it by safetensors.flax",
    r"model-rank-\d+-part-\d+\.safetensors": SERVED,
    r".*\.pd(params|opt)": "weights of PaddlePaddle: paddle.load, then safetensors.paddle.save_file",
    r".*\.gguf[.-]?(part|split).+": "a part of a cut GGUF file: cat PARTS > model.gguf joins them",
    r".*\.(incomplete|part|crdownload|download|aria2|tmp)": "a download that has not ended: complete it",
}
HEADS = {
    rb"\x89HDF\r\n": KERAS,
    rb"\x93NUMPY": NUMPY,
    rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!": PACKED,
    rb"(lmgg|fmgg|tjgg|algg)": OLD,  # ggml, ggmf, ggjt, ggla
    rb"\s*(<[!?\w]|\{\"error|Entry not|Repository not|Invalid |Access to|Unauthori)": (
        "a page or a refusal of the web: log in where it has to be, and download the file again"
    ),
    rb".{4}TFL3": "a model compiled for one engine: give the checkpoint that it was made from",
}
"""What such files are and what to do, by their names and by their first bytes."""
DISTRIBUTED = (DCP, DEEPSPEED, SERVED)  # by their names, whatever is in them


def told(name: str, head: bytes = b"") -> str:
    """What the file of that name and those first bytes is, and what to do; "" where nothing is known of it."""
    by_name = next((text for pattern, text in NAMES.items() if re.fullmatch(pattern, name.lower())), "")
    return by_name or next((text for pattern, text in HEADS.items() if re.match(pattern, head, re.DOTALL)), "")
