"""Valid arguments for every function that torch lets a duck type override."""

import inspect
from itertools import count

import pytest
import torch
from torch.overrides import get_testing_overrides, resolve_name

from sktrim.propagation.carrier import Carrier
from sktrim.propagation.registry import find_operation
from sktrim.propagation.spelling import spell


class In:
    """An argument that is decomposed."""

    def __init__(self, *shape, dtype=torch.float64):
        draws = torch.rand(shape, generator=torch.Generator().manual_seed(len(shape)))
        self.tensor = (0.3 + 0.5 * draws.double()).to(dtype)

    @classmethod
    def of(cls, tensor):
        made = cls()
        made.tensor = tensor
        return made


SQUARE = In(3, 3)
PLAIN = SQUARE.tensor
LONG = torch.tensor([0, 1])
TOKENS = In.of(torch.tensor([[0, 1, 2]]))
FLAG = In.of(torch.ones(1, dtype=torch.bool))
BITS = In.of(torch.ones(3, 3, dtype=torch.bool))
COMPLEX = In.of(torch.complex(PLAIN, PLAIN.T))
IMAGE, LINE, VOLUME = In(2, 4, 6, 6), In(2, 4, 6), In(2, 4, 6, 6, 6)
VECTOR = In(3)
ONE = In(1)
INDEX = torch.tensor([[0, 1, 0]])
WEIGHTS = [
    torch.rand(8, 3).double(),
    torch.rand(8, 2).double(),
    *torch.rand(2, 8).double(),
]
RNN = [w[:2] for w in WEIGHTS]
GRU = [w[:6] for w in WEIGHTS]


def recurrent(weights, states=1):
    state = torch.zeros(1, 2, 2).double()
    state = state if states == 1 else [state, state]
    return (In(4, 2, 3), state, weights, True, 1, 0.0, False, False, False)


def attention():
    w = torch.rand(12, 4).double()
    x = In(5, 2, 4)
    return (x, x, x, 4, 2, w, torch.rand(12).double(), None, None, False, 0.0, w[:4],
            None, False)  # fmt: skip


# by name, where a square matrix or a value per parameter name would not do
SPECIAL = {
    "addr": (SQUARE, torch.ones(3).double(), VECTOR),
    "addmv": (VECTOR, PLAIN, VECTOR),
    "baddbmm": (LINE, LINE, torch.ones(2, 6, 6).double()),
    "bilinear": (SQUARE, SQUARE, torch.ones(2, 3, 3).double(), torch.ones(2).double()),
    "bmm": (LINE, torch.ones(2, 6, 2).double()),
    "channel_shuffle": (IMAGE, 2),
    "native_channel_shuffle": (IMAGE, 2),
    "clamp": (SQUARE, 0.1, 0.6),
    "clip": (SQUARE, 0.1, 0.6),
    "conv1d": (LINE, torch.ones(2, 4, 2).double()),
    "conv2d": (IMAGE, torch.ones(2, 4, 2, 2).double()),
    "conv3d": (VOLUME, torch.ones(2, 4, 2, 2, 2).double()),
    "conv_transpose1d": (LINE, torch.ones(4, 2, 2).double()),
    "conv_transpose2d": (IMAGE, torch.ones(4, 2, 2, 2).double()),
    "conv_transpose3d": (VOLUME, torch.ones(4, 2, 2, 2, 2).double()),
    "convolution": (LINE, torch.ones(2, 4, 2).double(), torch.ones(2).double(), [1],
                    [0], [1], False, [0], 1),
    "conv_tbc": (LINE, torch.ones(2, 6, 3).double(), torch.ones(3).double()),
    "constant_pad_nd": (SQUARE, (1, 1), 0.5),
    "batch_norm": (IMAGE, torch.ones(4).double(), torch.ones(4).double()),
    "torch.batch_norm": (IMAGE, None, None, torch.ones(4).double(),
                         torch.ones(4).double(), False, 0.1, 1e-5, True),
    "diagonal_scatter": (SQUARE, VECTOR),
    "select_scatter": (SQUARE, VECTOR, 0, 1),
    "slice_scatter": (SQUARE, SQUARE),
    "dot": (VECTOR, VECTOR),
    "vdot": (VECTOR, torch.ones(3).double()),
    "outer": (VECTOR, VECTOR),
    "ger": (VECTOR, VECTOR),
    "dsplit": (VOLUME, 2),
    "hsplit": (IMAGE, 2),
    "vsplit": (IMAGE, 2),
    "einsum": ("ij,jk->ik", SQUARE, SQUARE),
    "tensordot": (SQUARE, PLAIN, 1),
    "embedding": (TOKENS, PLAIN),
    "torch.embedding": (PLAIN, TOKENS),
    "one_hot": (TOKENS, 4),
    "gather": (SQUARE, 0, INDEX),
    "take_along_dim": (SQUARE, INDEX, 0),
    "torch.gru": recurrent(GRU),
    "torch.lstm": recurrent(WEIGHTS, 2),
    "torch.rnn_tanh": recurrent(RNN),
    "torch.rnn_relu": recurrent(RNN),
    "gru_cell": (SQUARE, torch.zeros(3, 2).double(), *GRU),
    "lstm_cell": (SQUARE, [torch.zeros(3, 2).double()] * 2, *WEIGHTS),
    "rnn_tanh_cell": (SQUARE, torch.zeros(3, 2).double(), *RNN),
    "rnn_relu_cell": (SQUARE, torch.zeros(3, 2).double(), *RNN),
    "multi_head_attention_forward": attention(),
    "imag": (COMPLEX,),
    "real": (COMPLEX,),
    "view_as_real": (COMPLEX,),
    "view_as_complex": (In(3, 2),),
    "complex": (SQUARE, SQUARE),
    "istft": (In.of(COMPLEX.tensor[:, :3]), 4),
    "stft": (In(9), 4, 2, 4, None, True, "constant", False, None, True),
    "fold": (In(1, 4, 4), 3, 2),
    "as_strided": (SQUARE, (2, 2), (3, 1), 1),
    "unfold": (IMAGE, 2),
    "torch.Tensor.unfold": (SQUARE, 0, 2, 1),
    "grid_sample": (IMAGE, torch.zeros(2, 3, 3, 2).double()),
    "index_add": (SQUARE, 0, LONG, In(2, 3)),
    "index_copy": (SQUARE, 0, LONG, In(2, 3)),
    "index_put": (SQUARE, (LONG,), In(2, 3)),
    "index_fill": (SQUARE, 0, LONG, 0.3),
    "masked_scatter": (SQUARE, BITS.tensor, In(9)),
    "masked_fill": (SQUARE, PLAIN > 0.5, 0.3),
    "scatter": (SQUARE, 0, INDEX, In(1, 3)),
    "scatter_add": (SQUARE, 0, INDEX, In(1, 3)),
    "where": (PLAIN > 0.5, SQUARE, 0.4),
    "torch.Tensor.where": (SQUARE, PLAIN > 0.5, SQUARE),
    "instance_norm": (IMAGE,),
    "torch.instance_norm": (IMAGE, None, None, None, None, True, 0.1, 1e-5, True),
    "torch.layer_norm": (IMAGE, (6,)),
    "interpolate": (IMAGE, None, 2.0),
    "torch.nn.functional.group_norm": (IMAGE, 2),
    "torch.group_norm": (IMAGE, 2),
    "local_response_norm": (IMAGE, 2),
    "lp_pool1d": (LINE, 2, 2),
    "lp_pool2d": (IMAGE, 2, 2),
    "lp_pool3d": (VOLUME, 2, 2),
    "logsumexp": (SQUARE, 1),
    "mv": (SQUARE, VECTOR),
    "permute": (SQUARE, (1, 0)),
    "pixel_shuffle": (IMAGE, 2),
    "pixel_unshuffle": (IMAGE, 2),
    "prelu": (SQUARE, torch.tensor([0.3]).double()),
    "repeat": (SQUARE, 2, 1),
    "tile": (SQUARE, (2, 1)),
    "repeat_interleave": (SQUARE, 2),
    "scaled_dot_product_attention": (LINE, LINE, LINE),
    "select": (SQUARE, 0, 1),
    "narrow": (SQUARE, 0, 0, 2),
    "split_with_sizes": (SQUARE, [1, 2]),
    "unflatten": (LINE, 1, (2, 2)),
    "view": (SQUARE, (9,)),
    "reshape": (SQUARE, (9,)),
    "expand": (SQUARE, (2, 3, 3)),
    "pad": (SQUARE, (1, 1)),
    "addcdiv": (SQUARE, SQUARE, PLAIN),
    "trapezoid": (SQUARE,),
    "kron": (SQUARE, PLAIN),
    "normalize": (SQUARE,),
    "pow": (SQUARE, 3),
    "div": (SQUARE, SQUARE),
    "lerp": (SQUARE, SQUARE, 0.3),
    "ldexp": (SQUARE, torch.ones(3)),
    "broadcast_tensors": (SQUARE, VECTOR),
    "glu": (LINE,),
    "rrelu": (SQUARE,),
    **dict.fromkeys(("dropout", "alpha_dropout", "feature_dropout",
                     "feature_alpha_dropout"), (SQUARE, 0.5, False)),
    "frobenius_norm": (SQUARE, 0),
    "index_reduce": (SQUARE, 0, LONG, SQUARE, "mean"),
    "mvlgamma": (SQUARE, 2),
    "multigammaln": (SQUARE, 2),
    "native_layer_norm": (SQUARE, (3,), None, None, 1e-5),
    "_fused_rms_norm": (SQUARE, (3,), None, 1e-5),
    "nonzero_static": (SQUARE, {"size": 2}),
    "segment_reduce": (SQUARE, "sum", {"lengths": torch.tensor([3])}),
    "solve_triangular": (SQUARE, SQUARE, {"upper": True}),
    "put": (SQUARE, LONG, In(2)),
    "select_copy": (SQUARE, 0, 1),
    "unfold_copy": (SQUARE, 0, 2, 1),
    "unsafe_split_with_sizes": (SQUARE, [1, 2]),
    "torch.Tensor.__getitem__": (SQUARE, (slice(None), LONG)),
    "torch.Tensor.__setitem__": (SQUARE, (slice(None), 0), VECTOR),
    "torch.Tensor.type": (SQUARE, torch.float32),
    "torch.Tensor.to": (SQUARE, torch.float32),
    "torch.Tensor.__format__": (SQUARE, ""),
    "bincount": (In.of(LONG),),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__",
                     "__xor__", "__rand__", "__ror__", "__rxor__"), (BITS, BITS)),
    **dict.fromkeys(("bitwise_not", "__invert__"), (BITS,)),
    **dict.fromkeys(("__float__", "__complex__", "__int__", "__bool__", "is_nonzero",
                     "item", "__index__"), (FLAG,)),
    **{f"{kind}{dims}d": (x, 2) for kind in ("avg_pool", "max_pool",
       "adaptive_avg_pool", "adaptive_max_pool")
       for dims, x in ((1, LINE), (2, IMAGE), (3, VOLUME))},
    **{f"{kind}_pool{dims}d_with_indices": (x, 2) for kind in ("max", "adaptive_max")
       for dims, x in ((1, LINE), (2, IMAGE), (3, VOLUME))},
}  # fmt: skip
VALUES = {
    "dim": 0, "dims": (0,), "dim0": 0, "dim1": 1, "axis": 0, "axis0": 0, "axis1": 1,
    "p": 2.0, "k": 1, "size": (3, 3), "shape": (3, 3), "chunks": 2, "sections": 3,
    "split_size": 1, "split_size_or_sections": 1, "indices_or_sections": 3,
    "tensor_indices_or_sections": 3, "exponent": 2, "index": LONG, "mask": PLAIN > 0.5,
    "diagonal": 0, "shifts": 1, "source": 0, "destination": 1, "min": 0.1, "max": 0.9,
    "threshold": 0.1, "value": 0.5, "min_val": -1.0, "max_val": 1.0, "eps": 1e-5,
    "train": False, "training": False, "p_": 0.5, "normalized_shape": (3,), "nan": 0.0,
    "dtype": torch.float64, "fill_value": 1.0, "tensor": PLAIN, "indices": LONG,
}  # fmt: skip
# part of torch's list, but not to be called on one machine or on this build
ELSEWHERE = {
    "torch.Tensor.cuda": "needs a GPU",
    "torch.Tensor.is_coalesced": "of sparse tensors",
    "torch.Tensor._nested_tensor_size": "of nested tensors",
    "torch.Tensor.__cuda_array_interface__.__get__": "needs a GPU",
    "torch.Tensor.__setstate__": "of pickles",
    "torch.Tensor.__reduce_ex__": "of pickles",
    "torch.Tensor.__repr__": "the carrier has its own",
    "torch.Tensor.__format__": "the carrier has its own",
}


def cases():
    number = count()
    for func, dummy in get_testing_overrides().items():
        name = resolve_name(func) or getattr(func, "__name__", repr(func))
        if name not in ELSEWHERE and "distributed" not in (
            getattr(func, "__module__", None) or ""
        ):
            yield pytest.param(func, dummy, name, id=f"{next(number)}-{name}")


def arguments(dummy, name):
    short = name.removesuffix(".__get__").rsplit(".", 1)[-1]
    stem = short if short.startswith("__") else short.rstrip("_")
    for key in (name, short, stem):
        if key in SPECIAL:
            return SPECIAL[key]
    found = []
    for parameter in inspect.signature(dummy).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL and not found:
            found += [SQUARE, SQUARE]
        elif parameter.name in ("tensors", "operands"):
            found.append([SQUARE, SQUARE])
        elif not found:
            found.append(SQUARE)
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY,
        ):  # fmt: skip
            found.append(VALUES.get(parameter.name, SQUARE))
    return tuple(found)


def put(value, make):
    if isinstance(value, In):
        return make(value.tensor)
    if isinstance(value, tuple | list):
        return type(value)(put(item, make) for item in value)
    return value


def carrier(method, tensor):
    full = tensor.clone()
    if not full.is_floating_point() and not full.is_complex():
        weight = torch.ones(full.shape, dtype=torch.float64)
        return Carrier(method, full, torch.stack([weight, 0 * weight]), -full.ndim)
    return Carrier(method, full, torch.stack([full, 0 * full]), -full.ndim)


def declared(func, name):
    if name.endswith(".__get__"):
        return find_operation(func, name.split(".")[-2])
    return find_operation(func, spell(func).name)


def invoke(func, name, args):
    parts = name.split(".")
    if name.startswith("torch.Tensor."):
        if parts[-1] == "__get__":
            return getattr(args[0], parts[-2])
        return getattr(args[0], parts[-1])(*args[1:])
    if args and isinstance(args[-1], dict):
        return func(*args[:-1], **args[-1])
    return func(*args)
