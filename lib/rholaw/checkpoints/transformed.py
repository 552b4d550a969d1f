"""Any causal language model that the package transformers runs, layer by layer: the extra ``rholaw[transformers]``.

The model has no weights.  Its own forward runs with a stand-in for each layer, which notes what else than hidden states
the layer is given (masks, positions), or says what the last layer made.  A layer runs by itself, given the same, with
weights of the checkpoint.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from ..checked import listed
from . import keeping, llama, parameters, tokenizing
from .beside import Beside, refuse_other
from .layered import Inputs, Kept, Read, Step
from .opening import Checkpoint
from .orientation import turned_back
from .tensors import Tensor

CHECKED = 32  # tokens, and rows of the head, whose logits are compared with those of the model's own forward
CLOSE = 1e-4  # of their standard deviation
Visit = Callable[[int, torch.Tensor, Beside], object]


class Transformed:
    """The Layered decoder of a folder with config.json.

    Raises ValueError where transformers has no such model, its tensors are others, or it is built as none that runs
    layer by layer.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.device, self.config = device, checkpoint.metadata.get("config")
        with _of_transformers():
            self.model = parameters.built(checkpoint, device)
        self.path, stack = _stack(self.model)
        self.trained = {name for name, _ in self.model.named_parameters()}
        self.sources = parameters.sources(self.model, checkpoint.tensors, self.path)
        self.embedding, self.output = _vocabulary(self.model, self.sources)
        self.head_weight = self._tensor(self.output if self.output in self.sources else self.embedding)
        self.layers, self.vocabulary = len(stack), self.head_weight.shape[0]
        self.used = _used(self.model.config)
        rows = self._tensor(self.embedding).shape
        self.tokenizer = tokenizing.built(checkpoint, min(rows[0], self.vocabulary))
        # Pages of zeros take no memory until they are written to: only the rows of tokens that occur do.
        self.table = torch.from_numpy(np.zeros(rows, np.float32)).to(device)
        self.once = self._made("", self._plain)
        self.alone = [copy.copy(layer) for layer in stack]  # the layers as they are, beside their stand-ins
        for index, layer in enumerate(stack):
            layer.forward = partial(self._stand_in, index)
        self.beside: list[Beside] = []
        self.sample: object = None  # what a layer gives: hidden states, or a tuple that begins with them
        self._visit: Visit | None = None

    def matrices(self, index: int) -> list[Tensor]:
        """As in ``Layered``."""
        names = self.trained & set(self._names(index))  # without buffers
        return [tensor for name in sorted(names) for tensor in self.sources[name].tensors if len(tensor.shape) > 1]

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        """As in ``Layered``; what the layers are given beside is noted, or refused where it depends on the tokens."""
        rows = self._tensor(self.embedding)
        for token in ids.unique().tolist():
            self.table[token] = rows.rows(token, token + 1)[0].float().to(self.device)
        hidden, noted = zip(*map(self._noted, ids.split(1)), strict=True)
        self.beside = noted[0]
        for other in noted[1:]:
            refuse_other(self.beside, other, "the tokens")
        return torch.cat(hidden)

    def check(self, ids: torch.Tensor, kept: Callable[[int], Kept | None]) -> None:
        """ValueError unless its own forward gives its layers the same and has the same logits, layer after layer.

        And where what a layer makes of a token depends on later ones; where it keeps something else than keys and
        values of heads, or in another way, if they are rounded.
        """
        ids, size, last = ids[:1, :CHECKED], min(CHECKED, self.vocabulary), []
        _, noted = self._noted(ids)

        def own(index: int, hidden: torch.Tensor, given: Beside) -> object:
            refuse_other([noted[index]], [given], "the layers before")
            cache = keeping.Cache(index, steps) if (steps := kept(index)) else None
            beside = keeping.given(self.alone[index], given, cache) if cache else given
            weights = self._weights(index, self._plain)
            made = self._run(index, weights, hidden, beside)
            _refuse_foresight(hidden, lambda x: _hidden(self._run(index, weights, x, given)))
            if cache and not cache.used:
                raise ValueError(f"layer {index} keeps no keys and values where they could be rounded")
            if isinstance(made, tuple) != isinstance(self.sample, tuple):
                raise ValueError("its layers give results of different kinds")
            last[:] = [_hidden(made)]
            return made

        whole = self._forward(ids, own, self._head(0, size))[0]
        parts = [self.head(start, stop)(last[0][0]) for start, stop in ((0, size // 2), (size // 2, size))]
        if not torch.allclose(torch.cat(parts, -1), whole, atol=CLOSE * float(whole.std()), rtol=0):
            raise ValueError("layer by layer its logits are not those of its own forward")

    def layer(self, index: int, read: Read, inputs: Inputs, kept: Kept | None) -> Step:
        """As in ``Layered``. ValueError where inputs are to be rounded that no module takes by itself: experts'."""
        weights, steps = self._weights(index, read), self._input_steps(index, inputs)
        beside = self.beside[index]
        if kept:
            beside = keeping.given(self.alone[index], beside, keeping.Cache(index, kept))

        def step(x: torch.Tensor) -> torch.Tensor:
            hooks = [part.register_forward_pre_hook(partial(_round_input, rounds)) for part, rounds in steps]
            try:
                return torch.cat([_hidden(self._run(index, weights, row, beside)) for row in x.split(1)])
            finally:
                for hook in hooks:
                    hook.remove()

        return step

    def _input_steps(self, index: int, inputs: Inputs) -> list[tuple[nn.Module, Step]]:
        """[(module, what rounds its input)] of a layer."""
        steps = []
        for name in self._names(index):
            source = self.sources[name]
            if step := inputs(source.tensors[0]):
                part = self.model.get_submodule(name.rpartition(".")[0])
                if source.converter or not (isinstance(part, nn.Linear) or type(part).__name__ == "Conv1D"):
                    raise ValueError(f"the inputs of {name} cannot be rounded: it is no matrix by itself")
                steps.append((part, step))
        return steps

    def head(self, start: int, stop: int) -> Step:
        """As in ``Layered``: whatever the model does behind its last layer."""
        rows = self._head(start, stop)

        def step(x: torch.Tensor) -> torch.Tensor:
            ids = torch.zeros(1, len(x), dtype=torch.long)
            return self._forward(ids, lambda *_: self._as_given(x[None]), rows)[0]

        return step

    # --- the model's own forward, and one layer of it ----------------------------------------------------------------

    def _noted(self, ids: torch.Tensor) -> tuple[torch.Tensor, list[Beside]]:
        """(what the first layer sees of ids (1, T), what each layer is given beside)."""
        first, inputs = [], []

        def note(index: int, hidden: torch.Tensor, given: Beside) -> object:
            if self.sample is None:
                self.sample = self._run(0, self._weights(0, self._plain), hidden, given)
            first.append(hidden)
            inputs.append(given)
            return self._as_given(hidden)

        self._forward(ids, note, self._head(0, 1))
        return first[0], inputs

    def _stand_in(self, index: int, *args: object, **more: object) -> object:
        hidden = args[0] if args else more.pop("hidden_states")
        return self._visit(index, hidden, (args[1:], more))

    def _forward(self, ids: torch.Tensor, visit: Visit, head: dict[str, torch.Tensor]) -> torch.Tensor:
        """The logits of the model's own forward where ``visit`` stands for its layers."""
        self._visit = visit
        weights, options = self.once | {self.embedding: self.table} | head, {"use_cache": False}
        with _of_transformers():
            return functional_call(self.model, weights, (ids.to(self.device),), options, tie_weights=False).logits

    def _run(self, index: int, weights: dict[str, torch.Tensor], hidden: torch.Tensor, given: Beside) -> object:
        return functional_call(self.alone[index], weights, (hidden, *given[0]), given[1], tie_weights=False)

    def _as_given(self, hidden: torch.Tensor) -> object:
        """Hidden states as a layer gives them."""
        return (hidden, *self.sample[1:]) if isinstance(self.sample, tuple) else hidden

    # --- weights -----------------------------------------------------------------------------------------------------

    def _plain(self, tensor: Tensor) -> torch.Tensor:
        return llama.values(tensor).to(self.device)

    def _tensor(self, name: str) -> Tensor:
        """The one tensor that is this parameter."""
        return self.sources[name].tensors[0]

    def _names(self, index: int) -> list[str]:
        return [name for name in self.sources if name.startswith(f"{self.path}.{index}.")]

    def _weights(self, index: int, read: Read) -> dict[str, torch.Tensor]:
        """{parameter, by its name within the layer: values} of a layer."""
        prefix = f"{self.path}.{index}."
        made = self._made(prefix, read)
        return {name.removeprefix(prefix): value for name, value in made.items()}

    def _made(self, prefix: str, read: Read) -> dict[str, torch.Tensor]:
        """All parameters with this beginning; with none those outside of layers, embedding and head."""
        mine = partial(_is_of, prefix, f"{self.path}.", {self.embedding, self.output})

        def filed(tensor: Tensor) -> torch.Tensor:
            return turned_back(read(tensor), tensor, self.config)

        weights = {}
        for name in filter(mine, self.sources):
            weights |= self.sources[name].values(name, filed, self.model)
        shapes = {name: value.shape for name, value in self.model.state_dict().items() if mine(name)}
        if missing := sorted(shapes.keys() - weights.keys()):
            raise ValueError(f"it lacks {listed(missing[:3])}")
        for name, value in weights.items():
            if value.shape != shapes[name]:
                raise ValueError(f"{name} is {tuple(value.shape)}, where its config asks for {tuple(shapes[name])}")
        return weights

    def _head(self, start: int, stop: int) -> dict[str, torch.Tensor]:
        """Some rows of the head."""
        weights = {self.output: self.head_weight.rows(start, stop).float().to(self.device)}
        bias = self.output.removesuffix("weight") + "bias"
        return weights | ({bias: self.once[bias][start:stop]} if bias in self.once else {})


@contextmanager
def _of_transformers() -> Iterator[None]:
    """ValueError for whatever transformers raises: it has no kind of its own."""
    try:
        yield
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"transformers cannot run it: {type(error).__name__}: {error!s:.300}") from None


def _is_of(prefix: str, layers: str, vocabulary: set[str], name: str) -> bool:
    return name.startswith(prefix) if prefix else not (name.startswith(layers) or name in vocabulary)


def _stack(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """(name, the list of its layers); ValueError where it has none, or several."""
    count = model.config.num_hidden_layers
    lists = {name: part for name, part in model.named_modules() if isinstance(part, nn.ModuleList)}
    outer = {name: part for name, part in lists.items() if len(part) == count and not _inside(name, lists)}
    if len(outer) != 1:
        raise ValueError(f"transformers' {type(model).__name__} has no single list of {count} layers")
    return next(iter(outer.items()))


def _inside(name: str, lists: dict[str, nn.ModuleList]) -> bool:
    return any(name.startswith(f"{other}.") for other in lists)


def _vocabulary(model: nn.Module, sources: dict[str, parameters.Source]) -> tuple[str, str]:
    """Names of the embedding's and the head's weight; ValueError where these are no matrices by themselves."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names = {id(module): f"{name}.weight" for name, module in model.named_modules()}
    if not isinstance(embedding, nn.Embedding) or type(head) is not nn.Linear:
        raise ValueError(f"the embedding or the head of transformers' {type(model).__name__} is no plain matrix")
    first, last = names[id(embedding)], names[id(head)]
    if first not in sources or not (last in sources or last in model.all_tied_weights_keys):
        raise ValueError(f"it lacks {last if first in sources else first}")
    if any(sources[name].converter for name in (first, last) if name in sources):
        raise ValueError("its embedding or its head is made of several tensors")
    for name, module in ((first, embedding), (last, head)):
        if name in sources and (own := sources[name].tensors[0].shape) != module.weight.shape:
            raise ValueError(f"{name} is {tuple(own)}, where its config asks for {tuple(module.weight.shape)}")
    if last in model.all_tied_weights_keys and last in sources:
        one, other = (sources[name].tensors[0] for name in (first, last))
        if one.shape != other.shape or not torch.equal(one.read(), other.read()):
            raise ValueError(f"its config says that the head is the embedding, and {other.name} is another matrix")
    return first, last


def _used(config: object) -> float:
    """The share of its experts that a token goes through, 1 where it has none."""
    counts = [getattr(config, key, None) for key in ("num_experts", "num_local_experts", "n_routed_experts")]
    count, used = next(filter(None, counts), 0), getattr(config, "num_experts_per_tok", None)
    return used / count if count and used else 1.0


def _round_input(step: Step, _: nn.Module, args: tuple) -> tuple:
    """Before a module runs: its first argument, rounded."""
    return (step(args[0]), *args[1:])


def _hidden(made: object) -> torch.Tensor:
    return made[0] if isinstance(made, tuple) else made


def _refuse_foresight(hidden: torch.Tensor, run: Step) -> None:
    """ValueError where what a layer makes of tokens, ``hidden`` (1, T, width), changes with the one behind them."""
    changed = torch.cat([hidden[:, :-1], hidden[:, -1:].flip(-1)], 1)
    one, other = (run(x)[:, :-1] for x in (hidden, changed))
    if not torch.allclose(one, other, atol=CLOSE * float(hidden.std()), rtol=0):
        raise ValueError(
            "its layers look at later tokens too: it is no causal language model, whose loss means something"
        )
