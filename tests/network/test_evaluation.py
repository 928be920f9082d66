"""Flags of a network that another thread, a child or an interrupt meddles with."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import Scorer, TransformImportance, transform_importance
from sktrim.network._network import evaluation_mode
from tests.nets import mlp

X = np.random.default_rng(0).standard_normal((6, 12))


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def flags(module):
    return [m.training for m in module.modules()]


class Meddling(nn.Module):
    """Has another thread do something to it, once it is told to."""

    def __init__(self, what):
        super().__init__()
        self.net, self.drop = mlp(), nn.Dropout()
        self.what, self.armed = what, False

    def forward(self, x):
        if self.armed:
            self.armed = False
            in_thread(self.what, self)
        return self.drop(self.net(x))


@torch.no_grad()
def step(module):
    module.net[0].weight.mul_(2)


@torch.no_grad()
def exchange(module):
    module.net[0].weight = nn.Parameter(module.net[0].weight * 2)


def load(module):
    module.load_state_dict(copy.deepcopy(module.state_dict()))


@pytest.mark.parametrize("scorer", ["cd", "gradient", "occlusion"])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (nn.Module.train, "training mode"),
        (lambda module: module.drop.train(), "'drop' was put into training mode"),
        (step, "net.0.weight' was written"),
        (exchange, "net.0.weight' was written"),
        (load, "net.0.weight' was written"),
    ],
)
def test_a_change_by_another_thread_is_noticed(what, message, scorer):
    module = Meddling(what).eval()
    trim = TransformImportance(module, scorer=scorer).fit(X)
    module.armed = True
    with pytest.raises(RuntimeError, match=message):
        trim.explain(X)
    assert module.training == (what is nn.Module.train)


@pytest.mark.parametrize("partly", [False, True])
def test_eval_by_another_thread_is_not_undone(partly):
    module = Meddling(lambda m: (m.net if partly else m).eval()).train()
    trim = TransformImportance(module, scorer="gradient").fit(X)
    assert all(flags(module))
    module.armed = True
    trim.explain(X)
    assert not any(flags(module.net))
    assert module.drop.training == module.training == partly
    assert not any("train" in vars(m) for m in module.modules())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(dumped(m))])
def test_copies_of_a_network_that_is_held_are_their_own(copied):
    module = mlp().train()
    with evaluation_mode(module):
        other = copied(module)
    other.train()
    assert all(flags(other))
    other.eval()
    assert not any(flags(other))
    assert all(flags(module))


def dumped(module):
    return pickle.dumps(module)


def flags_in_a_child(module):
    """Fork, and return whether the child finds the module training."""
    child = os.fork()
    if not child:
        with evaluation_mode(module):
            pass  # nor is the child left with a lock that nobody opens
        os._exit(0 if module.training else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_forked_meanwhile_finds_the_network_as_it_was():
    module = mlp().train()
    held, done = threading.Event(), threading.Event()

    def hold():
        with evaluation_mode(module):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    assert not module.training
    assert flags_in_a_child(module)
    done.set()
    thread.join()
    assert module.training


def test_a_child_forked_by_the_holder_holds_it_still():
    module = mlp().train()
    with evaluation_mode(module):
        assert not flags_in_a_child(module)
    assert flags_in_a_child(module)


class Interrupted(Scorer):
    """Is interrupted in one thread while another is at work."""

    def __init__(self):
        self.at_work = threading.Barrier(2, timeout=30)
        self.fails = True

    def attribute(self, model, s, groups, target):
        if self.at_work.wait():
            raise KeyboardInterrupt
        threading.Event().wait(0.3)
        return torch.zeros(len(s), len(groups), target.n_targets)


def test_an_interrupt_restores_before_it_reaches_the_caller():
    module = mlp().train()
    with pytest.raises(KeyboardInterrupt):
        transform_importance(module, X[:2], scorer=Interrupted(), n_jobs=2)
    assert all(flags(module))


def test_networks_that_write_into_their_buffers_are_refused():
    class Averaging(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()
            self.register_buffer("mean", torch.zeros(12, dtype=torch.float64))

        def forward(self, x):
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
            return self.net(x)

    for scorer in ("cd", "gradient"):
        with pytest.raises(RuntimeError, match=r"'mean' was written.*in its forward"):
            transform_importance(Averaging().eval(), X, scorer=scorer)
