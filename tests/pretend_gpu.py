"""A GPU that is none: tensors that say they lie on "cuda:7", mix with no others, and are computed on the CPU.

with pretend_gpu.PretendGPU() as gpu:
    table = rl.evaluate(..., device="cuda")
gpu.waits      {function: how often the host waited for the device}
gpu.on_host    {function of whole matrices: how often it ran on the CPU all the same}

What CUDA refuses raises here too: operands on two devices, numpy of a tensor there, a host's generator, products of
integers, and an operation without a kernel.  So do indices that lie on the host, for which CUDA would wait in silence.
"""

import re
from collections import Counter
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import torch
import torchgen
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 7)  # one that no machine has: what is cached by device stays apart
FACTS = {torch.Tensor.device: GPU, torch.Tensor.is_cuda: True, torch.Tensor.is_cpu: False}
HOST = {"numpy", "__array__", "__dlpack__"}  # functions that read memory themselves
THROUGH = (torch.device, torch._C._nn._parse_to, torch._has_compatible_shallow_copy_type)  # that compute nothing
NUMBERS = {"item", "tolist", "equal", "allclose", "is_nonzero", "__contains__", "__format__"}
NUMBERS |= {"__float__", "__int__", "__bool__", "__index__", "__complex__"}
SIZES = {"nonzero", "argwhere", "masked_select", "unique", "unique_consecutive", "bincount"}
WHOLE = {"cat", "concat", "stack", "hstack", "vstack", "matmul", "__matmul__", "mm", "bmm", "linear", "dot", "vecdot"}
WHOLE |= {"embedding", "gather", "scatter", "scatter_", "take_along_dim", "index_select", "index_add_", "einsum"}
WHOLE |= {"searchsorted", "bucketize", "rms_norm", "layer_norm", "scaled_dot_product_attention", "conv1d"}
"""Functions that take no single number from the host, as those element by element do."""
PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::dot", "aten::mv", "aten::addmv"}


class OnGPU(torch.Tensor):
    """A tensor there."""

    gpu = None  # the one that was entered last

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return cls.gpu.run(function, args, kwargs or {})  # in other threads, which do not know of the mode


class PretendGPU(TorchFunctionMode):
    """Within, the device "cuda" is there."""

    def __init__(self):
        super().__init__()
        self.waits, self.on_host = Counter(), Counter()

    def __enter__(self):
        OnGPU.gpu = self
        return super().__enter__()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return self.run(function, args, kwargs or {})

    def run(self, function, args, kwargs):
        if function in THROUGH:
            with torch._C.DisableTorchFunction():
                return function(*args, **kwargs)
        name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        here, there = ([leaf for leaf in given if isinstance(leaf, OnGPU) == on] for on in (True, False))
        if here and isinstance(owner, type(torch.Tensor.device)) and owner in FACTS:
            return FACTS[owner]
        if here and name == "__iter__":
            return iter(args[0].unbind(0))
        if name == "__set__" and owner is torch.Tensor.data and isinstance(args[1], OnGPU):  # a parameter moves
            args[0].__class__, args[0]._is_param = OnGPU, isinstance(args[0], torch.nn.Parameter)
            here, there = [*args], []
        asked = _asked(name, args, kwargs)
        onto = bool(here) if asked is None else asked
        _refuse(name, here, there, asked, kwargs.get("generator") if onto else None)
        if here and (name in NUMBERS | SIZES or not onto or _masked(name, args)):
            self.waits[name] += 1
        if given and not here and name in WHOLE:
            self.on_host[name] += 1
        with torch._C.DisableTorchFunction(), Kernels() if onto else nullcontext():
            result = function(*tree_map(_at_home, args), **tree_map(_at_home, kwargs))
            if asked is not None and bool(here) != onto and isinstance(result, torch.Tensor):
                result = result.clone()  # the other device has memory of its own
        return tree_map(_labelled, result) if onto else result


class Kernels(TorchDispatchMode):
    """Raises where torch computes something for which it has no kernel on CUDA."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name()
        if not (has_kernel(name) or "_for_cpu" in name):  # a CPU's kernel of what the device has its own for
            raise NotImplementedError(f"{name} has no kernel for CUDA")
        if name.partition(".")[0] in PRODUCTS and not (args[0].is_floating_point() or args[0].is_complex()):
            raise RuntimeError(f"{name} is not implemented for {args[0].dtype} on CUDA")
        return function(*args, **(kwargs or {}))


def _asked(name, args, kwargs):
    """Whether the result is to lie on the device; None where that follows from the operands."""
    if name in ("cpu", "cuda"):
        return name == "cuda"
    if name == "copy_":
        return isinstance(args[0], OnGPU)
    places = [kwargs.get("device"), *(args[1:2] if name == "to" else [])]
    for place in places:
        if isinstance(place, torch.Tensor):
            return isinstance(place, OnGPU)
        if isinstance(place, str | torch.device):
            return torch.device(place).type == "cuda"
    return None


def _refuse(name, here, there, asked, generator):
    if here and name in HOST:
        raise TypeError("can't convert cuda:7 device type tensor to numpy. Use Tensor.cpu()")
    if here and there and asked is None and (name in WHOLE or any(leaf.dim() for leaf in there)):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:7 and cpu in {name}")
    if generator is not None and generator.device.type != "cuda":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")


def _masked(name, args):
    """Whether it is an index by a mask, whose count the host has to know."""
    indices = tree_leaves(args[1]) if name in ("__getitem__", "__setitem__") else ()
    return any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.bool for leaf in indices)


def _at_home(one):
    """What stands for a device among arguments."""
    is_gpu = isinstance(one, str | torch.device) and str(one).partition(":")[0] == "cuda"
    return "cpu" if is_gpu else one


def _labelled(one):
    if type(one) is torch.Tensor:
        one.__class__ = OnGPU
    return one


@cache
def _functions():
    """{operation: what torch's own list of functions says of it}."""
    text = (Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml").read_text()
    return {re.match(r"[\w.]+", part)[0]: part for part in text.split("- func: ")[1:]}


def has_kernel(name):
    """Whether torch computes an operation, such as "aten::add.Tensor", on CUDA, as far as its list says."""
    about = _functions().get(name.removeprefix("aten::"), "")
    return "dispatch:" not in about or re.search(r"CUDA|Composite|structured_delegate", about) is not None
