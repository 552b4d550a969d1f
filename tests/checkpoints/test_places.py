"""Which files a path means: the index decides, what lies beside is said, a folder without a model says what it is."""

import json
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import foreign, opening

X = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))


def names(path):
    """(the names of the tensors, the remarks)."""
    with checkpoints.open(path) as checkpoint:
        return [tensor.name for tensor in checkpoint.tensors], " ".join(checkpoint.remarks)


def written(folder, **files):
    """safetensors files of one tensor X each under these names, "__" for a dot; the folders that they need."""
    for file, tensors in files.items():
        path = folder / file.replace("__", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: X.clone() for name in tensors}, path)


def index(folder, name="model.safetensors.index.json", **places):
    (folder / name).write_text(json.dumps({"weight_map": places}))


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        checkpoints.open(path)
    assert len(str(caught.value)) <= 500


# --- the index --------------------------------------------------------------------------------------------------------

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_what_the_index_does_not_name_is_left_out_with_a_word(tmp_path):
    written(tmp_path, **{ONE: ["a", "superseded", "old"], TWO: ["b"]})  # mlx-vlm#1464
    index(tmp_path, a=ONE, b=TWO)
    for path in (tmp_path, tmp_path / ONE, tmp_path / "model.safetensors.index.json"):
        inside, remarks = names(path)
        assert inside == ["a", "b"] and "left out: 2 that model.safetensors.index.json does not name" in remarks
    with pytest.warns(UserWarning, match="left out: 2 .* as 'old'|left out: 2 .* as 'superseded'"):
        table = rl.survey(tmp_path, "int4", progress=False)
    assert table.name.tolist() == ["a", "b"]
    assert checkpoints.size(tmp_path) == 2 * 4 * X.numel()


def test_a_tensor_in_two_shards_is_taken_from_the_one_that_the_index_names(tmp_path):
    written(tmp_path, **{ONE: ["a"]})  # sglang#35107
    save_file({"b": X, "a": X + 1}, tmp_path / TWO)
    for file, value in ((ONE, X), (TWO, X + 1)):
        index(tmp_path, a=file, b=TWO) if file == ONE else index(tmp_path, a=TWO, b=TWO, c=ONE)
        if file == TWO:
            save_file({"c": X, "a": X.clone()}, tmp_path / ONE)
        with checkpoints.open(tmp_path) as checkpoint:
            assert torch.equal(checkpoint["a"].read(), value)
    index(tmp_path, a=TWO, b=ONE, c=ONE)
    refused(tmp_path, "names 1 tensors that are not in their shards, the first 'b'")


def test_stale_shards_of_other_sets_do_not_matter(tmp_path):
    stale = ["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"]
    written(tmp_path, **{ONE: ["a"], TWO: ["b"]}, **{file: ["a", "z"] for file in stale})
    inside, remarks = names(tmp_path)  # without an index one set is whole
    assert inside == ["a", "b"] and f"not read: {', '.join(stale)}, which lie beside" in remarks
    index(tmp_path, a=ONE, b=TWO)
    assert names(tmp_path) == (inside, remarks.replace(ONE, "model.safetensors.index.json"))
    refused(tmp_path / stale[0], "1 of 3 shards are missing: model-00002-of-00003")
    save_file({"whole": X}, tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors.index.json").unlink()
    inside, remarks = names(tmp_path)
    assert inside == ["whole"] and ONE in remarks


def test_shards_may_lie_in_folders_below_their_index(tmp_path):
    written(tmp_path, **{"unet/a.safetensors": ["a"], "vae/deep/b.safetensors": ["b"]})
    index(tmp_path, a="unet/a.safetensors", b="vae/deep/b.safetensors")
    assert names(tmp_path)[0] == ["a", "b"]
    for outside in ("unet/../../x", "/etc/passwd", "unet//a.safetensors", "./unet/a", "C:\\x", "c:x", "unet\\a", "a/"):
        index(tmp_path, a=outside)
        refused(tmp_path, "points to .* outside its own folder")


@pytest.mark.parametrize(
    "form",
    [
        "model-{:03}-of-002.safetensors",
        "model-{}-of-2.safetensors",
        "model_{:05}_of_00002.safetensors",
        "pytorch_model-{:05}-of-00002.bin",
        "{:05}-of-00002.safetensors",
        "diffusion_pytorch_model-{:05}-of-00002.safetensors",
        "model-{:05}-of-00002.fp16.safetensors",
        "qwen2-{:05}-of-00002.gguf",
    ],
)
def test_shards_count_in_any_number_of_digits(tmp_path, form):
    for i in (1, 2):
        save_file({str(i): X}, tmp_path / form.format(i))
    for path in (tmp_path, tmp_path / form.format(2)):
        assert names(path)[0] == ["1", "2"]
    (tmp_path / form.format(2)).unlink()
    refused(tmp_path, "1 of 2 shards are missing")


# --- several sets in one folder ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "other"),
    [
        ("model.safetensors", "consolidated.safetensors"),
        ("model.safetensors", "pytorch_model.bin"),
        ("model.safetensors", "model_1.safetensors"),
        (ONE, "consolidated.safetensors"),
        ("pytorch_model.bin", "consolidated.00.pth"),
        ("pytorch_model.bin", "adapter_model.safetensors"),
        ("model-Q4_K.gguf", "mmproj-model-f16.gguf"),
        ("my.ckpt", "pytorch_lora_weights.safetensors"),
    ],
)
def test_of_two_in_a_folder_one_is_read_and_the_other_named(tmp_path, chosen, other):
    written(tmp_path, **{chosen: ["a"], other: ["a"]} | ({TWO: ["b"]} if chosen == ONE else {}))
    (tmp_path / "optimizer.pt").write_bytes(b"")
    inside, remarks = names(tmp_path)
    assert inside[0] == "a" and remarks == f"not read: {other}, which lie beside {chosen}"


def test_the_own_layout_of_mistral_and_llama_is_read_where_there_is_no_other(tmp_path):
    written(tmp_path, **{"consolidated.safetensors": ["layers.0.attention.wq.weight"]})
    assert names(tmp_path) == (["layers.0.attention.wq.weight"], "")
    (tmp_path / "consolidated.safetensors").unlink()
    torch.save({"layers.0.attention.wq.weight": X}, tmp_path / "consolidated.00.pth")
    assert names(tmp_path) == (["layers.0.attention.wq.weight"], "")


SLICES = ["consolidated.{:02}.pth", "mp_rank_{:02}_model_states.pt", "mp_rank_{:02}/model.pt", "model{}-mp2.pt"]
SLICES += ["model_world_size_2_rank_{}.pt", "model-rank-{}-part-0.pt", "rank{}.pt", "model-rank-0-part-{}.pt"]


@pytest.mark.parametrize("form", SLICES)
def test_one_of_several_slices_is_no_model(tmp_path, form):
    for i in (0, 1):
        (tmp_path / form.format(i)).parent.mkdir(exist_ok=True)
        torch.save({"module": {"a": X}}, tmp_path / form.format(i))
    refused(tmp_path / form.format(1), "is one of 2, each with a part of the model or a slice")
    if "/" not in form:
        refused(tmp_path, "is one of 2, each with a part of the model or a slice")


def test_a_file_of_several_that_are_numbered_is_read_with_a_word(tmp_path):
    """Parts without a count in their names, or checkpoints one after another: nobody can know."""
    written(tmp_path, **{f"weights_{i}.safetensors": ["a"] for i in (7, 8, 12)}, **{"other.safetensors": ["b"]})
    said = "not read: weights_12.safetensors, weights_7.safetensors, which lie beside weights_8.safetensors"
    assert names(tmp_path / "weights_8.safetensors") == (["a"], said)
    assert names(tmp_path / "other.safetensors") == (["b"], "")


# --- folders and files without a model --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["optimizer.pt", "scheduler.pt", "rng_state_0.pth"], "no model, only what training keeps .*: optimizer.pt"),
        (["training_args.bin", "optimizer.bin"], "no model, only what training keeps"),
        (["__0_0.distcp", "__1_0.distcp", ".metadata"], "dcp_to_torch"),
        (["__0_0.distcp", ".metadata", "common.pt", "metadata.json"], "dcp_to_torch"),  # Megatron's torch_dist
        (["pytorch_model_fsdp_0/__0_0.distcp", "random_states_0.pkl"], "dcp_to_torch"),
        (["manifest.ocdbt", "d/x"], "a checkpoint of Orbax"),
        (["latest", "zero_to_fp32.py", "global_step5/x.pt"], r"python zero_to_fp32\.py"),
        (["mp_rank_00_model_states.pt", "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_to_fp32.py"], None),
        (["zero_pp_rank_0_mp_rank_00_model_states.pt"], r"python zero_to_fp32\.py"),
        (
            ["model_index.json", "unet/a.safetensors", "vae/b.bin", "scheduler/x.json"],
            "pipeline of diffusers: .* unet, vae",
        ),
        (["config.json", "original/consolidated.00.pth", "onnx/model.onnx"], "name one of its folders: original"),
        (
            ["checkpoint-5/model.safetensors", "checkpoint-10/model.safetensors"],
            "its folders: checkpoint-10, checkpoint-5",
        ),
        (["model.onnx", "config.json"], r"model\.onnx is an ONNX graph: give the checkpoint"),
        (["tf_model.h5"], r"tf_model\.h5 is weights of Keras or TensorFlow"),
        (["flax_model.msgpack"], "weights of Flax"),
        (["a.ckpt.index", "a.ckpt.data-00000-of-00001", "checkpoint"], "Keras or TensorFlow"),
        (["saved_model.pb", "variables/x"], "Keras or TensorFlow"),
        (["model.nemo"], "an archive of NeMo"),
        (["model.zip"], "a packed folder: unpack it"),
        (["weights.npz"], "arrays of NumPy"),
        (["model.gguf.part1of2", "model.gguf.part2of2"], "cat PARTS"),
        (["model.safetensors.incomplete"], "a download that has not ended"),
        (["openvino_model.bin", "openvino_model.xml"], "compiled for one engine"),
        (["README.md"], "holds no checkpoint: no file like"),
    ],
)
def test_a_folder_without_a_model_says_what_it_holds(tmp_path, files, message):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"")
        if file.startswith("mp_rank"):
            torch.save({"module": {"a": X}, "optimizer": None}, tmp_path / file)
    if message is None:  # DeepSpeed's own file of the weights, in stages 1 and 2
        assert names(tmp_path / files[0]) == (["a"], "")
        return
    refused(tmp_path, message)


@pytest.mark.parametrize(
    ("name", "head", "message"),
    [
        ("model.h5", b"\x89HDF\r\n\x1a\n", "weights of Keras"),
        ("weights.bin", b"\x89HDF\r\n\x1a\n", "weights of Keras"),
        ("model.onnx", b"\x08\x07\x12\x07pytorch", "an ONNX graph"),
        ("a.npy", b"\x93NUMPY\x01\0", "arrays of NumPy"),
        ("a.bin", b"\x1f\x8b\x08", "a packed folder"),
        ("ggml-model.bin", b"lmgg\x01\0\0\0", "before GGUF"),
        ("ggml-model.bin", b"tjgg\x03\0\0\0", "before GGUF"),
        ("ggml-adapter-model.bin", b"algg\x01\0\0\0", "before GGUF"),
        ("model.safetensors", b"<!DOCTYPE html><html>", "a page or a refusal of the web"),
        ("model.bin", b'<?xml version="1.0"?><Error>', "a page or a refusal of the web"),
        ("model.safetensors", b'{"error":"Invalid credentials"}', "a page or a refusal of the web"),
        ("model.safetensors", b"Entry not found", "a page or a refusal of the web"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "compiled for one engine"),
        ("a.mlmodel", b"\x08\x04\x12", "compiled for one engine"),
        ("a.bin", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_a_file_that_is_no_checkpoint_says_what_it_is(tmp_path, name, head, message):
    (tmp_path / name).write_bytes(head + bytes(100))
    refused(tmp_path / name, f"{name}.*{message}")


def test_archives_that_torch_did_not_save_say_what_they_are(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.ones((4, 4)))
    refused(tmp_path / "a.npz", "a zip archive: arrays of NumPy: safetensors.numpy.save_file")
    written(tmp_path / "model", **{"model.safetensors": ["a"]})
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.write(tmp_path / "model" / "model.safetensors", "model/model.safetensors")
    refused(tmp_path / "model.zip", "a zip archive: a packed folder: unpack it")
    with tarfile.open(tmp_path / "model.nemo", "w") as archive:
        archive.add(tmp_path / "model")
    refused(tmp_path / "model.nemo", "model.nemo is an archive of NeMo")
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"")
    refused(tmp_path / "model.keras", "a zip archive: weights of Keras")
    torch.save({"a": X}, tmp_path / "checkpoint.pth.tar")  # a usual name for what is no tar
    assert names(tmp_path / "checkpoint.pth.tar") == (["a"], "")


def test_a_download_that_goes_on_is_no_checkpoint(tmp_path):
    """aria2 makes a file of the full size at once, where what has not come yet is zeros."""
    for number in (1, 2):
        written(tmp_path, **{f"model-0000{number}-of-00002.safetensors": [f"{number}"]})
    assert names(tmp_path) == (["1", "2"], "")
    (tmp_path / "model-00002-of-00002.safetensors.aria2").write_bytes(b"\0")
    refused(tmp_path, r"model-00002-of-00002.safetensors is a download that has not ended, by .*aria2 beside it")


def test_the_layout_of_meta_and_mistral_is_told(tmp_path):
    """A survey needs no config, and what does says where to find one."""
    (tmp_path / "params.json").write_text('{"dim": 64, "n_layers": 2, "n_heads": 4}')
    refused(tmp_path, "holds no checkpoint; params.json is the description .*: give the folder for transformers")
    written(tmp_path, **{"consolidated.safetensors": ["layers.0.attention.wq.weight"]})
    assert names(tmp_path) == (["layers.0.attention.wq.weight"], "")
    with pytest.raises(ValueError, match=r"no config\.json lies beside it; params\.json is the description of a model"):
        opening.described(tmp_path)


def test_every_sentence_on_foreign_files_is_short():
    sentences = {*foreign.NAMES.values(), *foreign.HEADS.values()}
    assert all(len(text) <= 160 and text.isascii() for text in sentences)


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    """A snapshot of the hub's cache whose blobs were deleted."""
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / "abc")
    (tmp_path / "config.json").write_text("{}")
    refused(tmp_path, "holds links to files that are not there, as model.safetensors: download them again")


@pytest.mark.parametrize("name", ["config.json", "quantize_config.json"])
def test_a_link_to_nothing_is_no_absent_file(tmp_path, name):
    """As in a cache of the hub that was cleaned: what the file says of the weights is not known."""
    save_file({"a.weight": torch.ones(2, 2)}, tmp_path / "model.safetensors")
    (tmp_path / name).symlink_to(tmp_path / "blob")
    with pytest.raises(ValueError, match=rf"{name} is a link to a file that is not there: download it again"):
        checkpoints.open(tmp_path)


def test_weights_as_an_engine_keeps_them_are_refused_by_their_name(tmp_path):
    """vLLM's save_sharded_state of one process: FP8 lies in × out there, GPTQ as Marlin's tiles."""
    written(tmp_path, **{"model-rank-0-part-0__safetensors": ["model.layers.0.mlp.up_proj.weight"]})
    message = "of vLLM's save_sharded_state, weights as its kernels take them: give the checkpoint that"
    refused(tmp_path, message)
    refused(tmp_path / "model-rank-0-part-0.safetensors", message)


def test_a_folder_whose_folders_hold_a_graph_says_so(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model_q4.onnx").write_bytes(b"\x08\x0a")
    refused(tmp_path, r"holds no checkpoint; onnx/model_q4.onnx is an ONNX graph: give the checkpoint")
