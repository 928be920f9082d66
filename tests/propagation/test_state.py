"""No carrier outlives the call that it was made for."""

import functools
import gc
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import contextual_decomposition, transform_importance
from sktrim.propagation import UnsupportedOperationError, explained_output
from sktrim.propagation.carrier import Carrier
from tests.nets import mlp

X = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 12)))
RECORDED = []


class Box:
    """Holds anything."""


class Keeping(nn.Module):
    """Keeps what passes through it, in one of many ways."""

    def __init__(self, keep):
        super().__init__()
        self.net, self.keep = mlp(), keep
        self.last, self.list, self.table = None, [1], {"first": 1}
        self.queue, self.box, self.sub = deque(), Box(), nn.Module()
        self.box.values = ()
        self.register_buffer("buffer", torch.zeros(3, dtype=torch.float64))

    def forward(self, x):
        h = self.net(x)
        self.keep(self, h)
        return h


def keep_new(model, h):
    model.fresh = h


def keep_last(model, h):
    model.last = (h, 1)


def keep_below(model, h):
    model.sub.last = h


def keep_in_box(model, h):
    model.box.values = h


def keep_in_buffer(model, h):
    model.buffer = h


def keep_in_global(model, h):
    RECORDED.append(h)


WAYS = [
    (keep_new, r"model\.fresh"),
    (keep_last, r"model\.last"),
    (keep_below, r"model\.sub\.last"),
    (keep_in_box, r"model\.box\.values"),
    (lambda m, h: m.list.append(h), r"model\.list"),
    (lambda m, h: m.list.append([h.detach()]), r"model\.list"),
    (lambda m, h: m.list.__setitem__(0, h), r"model\.list"),
    (lambda m, h: m.table.update(h=h), r"model\.table"),
    (lambda m, h: m.queue.append(h), r"model\.queue"),
    (keep_in_buffer, r"model\.buffer"),
    (keep_in_global, "RECORDED"),
]


def picture(model):
    """Return all that the model holds, by identity."""
    return [
        *((name, id(value)) for name, value in vars(model).items()),
        *((name, id(value)) for name, value in vars(model.sub).items()),
        *((name, id(value)) for name, value in model.named_buffers()),
        *(list(map(id, some)) for some in (model.list, model.queue, RECORDED)),
        *(dict(model.table).items(), id(model.box.values)),
    ]


def carriers():
    gc.collect()
    return sum(issubclass(type(thing), Carrier) for thing in gc.get_objects())


@pytest.mark.parametrize(("keep", "name"), WAYS)
def test_a_model_that_keeps_what_it_is_given_is_refused_and_put_back(keep, name):
    model = Keeping(keep).eval()
    seen = picture(model)
    with pytest.raises(UnsupportedOperationError, match=f"{name}, and"):
        contextual_decomposition(model, X, X / 2)
    assert picture(model) == seen
    for scorer in ("deeplift", "lrp_epsilon"):
        with pytest.raises((UnsupportedOperationError, RuntimeError), match=name[-6:]):
            transform_importance(model, X.numpy(), scorer=scorer)


@pytest.mark.parametrize(("keep", "name"), WAYS[:-2])
@pytest.mark.parametrize("scorer", ["gradient", "shapley"])
def test_scorers_without_rules_explain_it(keep, name, scorer):
    model = nn.Sequential(Keeping(keep), nn.Softmax(1)).eval()
    plain = nn.Sequential(model[0].net, nn.Softmax(1))
    found = transform_importance(model, X.numpy(), scorer=scorer)
    expected = transform_importance(plain, X.numpy(), scorer=scorer)
    np.testing.assert_allclose(found.values, expected.values)
    seen = picture(model[0])
    explained_output(model, X)
    assert picture(model[0]) == seen


def test_what_is_kept_is_put_back_after_an_error_too():
    class Failing(Keeping):
        def forward(self, x):
            self.last = x
            return torch.linalg.svd(x)[1]

    model, before = Failing(None).eval(), carriers()
    with pytest.raises(UnsupportedOperationError, match="svd"):
        contextual_decomposition(model, X, X / 2)
    assert model.last is None
    assert carriers() == before


def test_functions_that_keep_what_they_are_given():
    net, kept, box = mlp(), [], Box()

    def closing(x):
        kept.append(x)
        return net(x)

    def given(store, x):
        store["x"] = x
        return net(x)

    box.net = net
    box.forward = lambda x: (setattr(box, "seen", x), net(x))[1]
    for model, name in (
        (closing, "kept"),
        (functools.partial(given, {}), "0"),
        (box.forward, r"box\.seen"),
    ):
        with pytest.raises(UnsupportedOperationError, match=f"in {name}, and"):
            contextual_decomposition(model, X, X / 2)
    assert not kept
    assert not hasattr(box, "seen")


@pytest.mark.parametrize("read", [torch.Tensor.detach, lambda h: h.detach() * 1])
def test_recording_hooks_are_named(read):
    net, records = mlp(), {}
    handle = net[0].register_forward_hook(
        lambda module, inputs, out: records.update(out=read(out))
    )
    with pytest.raises(UnsupportedOperationError, match=r"records.*remove the hook"):
        contextual_decomposition(net, X, X / 2)
    assert not records
    handle.remove()
    contextual_decomposition(net, X, X / 2)


def test_counts_are_no_state_of_carriers():
    class Counting(Keeping):
        def forward(self, x):
            self.last = (self.last or 0) + 1
            self.list.append(x.shape)
            return self.net(x)

    model = Counting(None).eval()
    contextual_decomposition(model, X, X / 2)
    assert model.last == 1


def test_a_check_of_types_is_named_with_its_line():
    class Insisting(nn.Module):
        def forward(self, x):
            assert type(x) is torch.Tensor
            return x

    class Raising(nn.Module):
        def forward(self, x):
            if type(x) is not torch.Tensor:
                raise ValueError("no tensor")
            return x

    for model, cause in ((Insisting(), "AssertionError"), (Raising(), "no tensor")):
        with pytest.raises(
            UnsupportedOperationError, match=rf"(?s)test_state\.py:\d+.*{cause}"
        ):
            contextual_decomposition(model.eval(), X, X / 2)
