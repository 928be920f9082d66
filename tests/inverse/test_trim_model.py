"""Tests of the network as a function of coefficients."""

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.func import vmap

from sktrim.inverse import InverseModule, TrimModel

torch.set_num_threads(1)


class Exponential(InverseModule):
    def forward(self, s):
        return self.check(s).exp()


def positive_rows(n):
    rng = np.random.default_rng(0)
    return rng.gamma(2.0, size=(n, 24)) * rng.uniform(0.2, 3, size=24)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 2)
    return nn.Sequential(*layers).double().eval()


def explained():
    """Return a network, a PCA, images, coefficients and the residual."""
    X = positive_rows(6)
    pca = PCA(3).fit(X)
    s = pca.transform(X)
    images = torch.tensor(X).reshape(6, 1, 4, 6)
    return network(), pca, images, torch.tensor(s), X - pca.inverse_transform(s)


def test_network_on_coefficients_gives_the_networks_output():
    net, pca, images, s, residual = explained()
    model = TrimModel(net, pca, reshape=(1, 4, 6), residual=residual)
    torch.testing.assert_close(model(s), net(images))
    torch.testing.assert_close(model(s[2:3], residual[2:3]), net(images[2:3]))
    one = TrimModel(
        net, pca, reshape=lambda x: x.reshape(-1, 1, 4, 6), residual=residual[1]
    )
    torch.testing.assert_close(one(s)[1], net(images)[1])


def test_order_is_residual_then_reshape_then_norm():
    net, pca, images, s, residual = explained()
    shapes = []

    def norm(x):
        shapes.append(x.shape)
        return x**2

    model = TrimModel(net, pca, norm=norm, reshape=(1, 4, 6), residual=residual)
    torch.testing.assert_close(model(s), net(images**2))
    assert shapes == [(6, 1, 4, 6)]


def test_the_residual_is_held_constant():
    net, pca, _, s, residual = explained()
    residual = torch.tensor(residual, requires_grad=True)
    model = TrimModel(net, pca, reshape=(1, 4, 6), residual=residual)
    before = model(s)
    with torch.no_grad():
        residual += 1
    torch.testing.assert_close(model(s), before)
    assert (model(s + 1) - before).abs().max() > 1e-3
    s.requires_grad_()
    model(s).sum().backward()
    assert s.grad.abs().max() > 1e-3
    assert residual.grad is None


def test_integrated_gradients_are_complete_with_a_fixed_residual():
    net, pca, images, s, residual = explained()
    model = TrimModel(net, pca, reshape=(1, 4, 6))
    ig = IntegratedGradients(model)
    extra = torch.tensor(residual)
    scores = ig.attribute(s, target=1, n_steps=200, additional_forward_args=extra)
    change = net(images)[:, 1] - model(0 * s, extra)[:, 1]
    torch.testing.assert_close(scores.sum(1), change, atol=1e-8, rtol=0)
    assert scores.abs().max() > 1e-2


def test_network_on_coefficients_maps_and_differentiates():
    net, pca, _, s, residual = explained()
    model = TrimModel(net, pca, reshape=(1, 4, 6), residual=residual)
    one = TrimModel(net, pca, reshape=(1, 1, 4, 6), residual=residual[0])
    torch.testing.assert_close(vmap(one)(s)[:1, 0], model(s)[:1])
    assert torch.autograd.gradcheck(model, s.clone().requires_grad_())


def test_signals_follow_the_networks_dtype():
    net, pca, images, s, residual = explained()
    model = TrimModel(net.float(), pca, reshape=(1, 4, 6), residual=residual)
    assert model(s).dtype == torch.float32
    torch.testing.assert_close(model(s), net(images.float()), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.float()(s.float()), model(s), atol=1e-5, rtol=0)


def test_any_callable_is_an_inverse():
    s = torch.rand(2, 3)
    for inverse in (torch.exp, nn.Softplus(), Exponential(3)):
        torch.testing.assert_close(TrimModel(nn.Identity(), inverse)(s), inverse(s))
    assert TrimModel(torch.sum, None)(s) == s.sum()
    assert TrimModel(torch.sum, "passthrough")(s) == s.sum()


def test_shapes_that_do_not_fit_are_named():
    net, pca, _, s, residual = explained()
    with pytest.raises(ValueError, match=r"reshape=.1, 5, 5. has 25 values"):
        TrimModel(net, pca, reshape=(1, 5, 5))(s)
    with pytest.raises(ValueError, match="additional_forward_args"):
        TrimModel(net, pca, reshape=(1, 4, 6), residual=residual)(s[:4])
    with pytest.raises(ValueError, match="residual has shape"):
        TrimModel(net, pca, reshape=(1, 4, 6), residual=residual[:, :5])(s)
    with pytest.raises(ValueError, match=r"expected \(..., 3\)"):
        TrimModel(net, pca, reshape=(1, 4, 6))(s[:, :2])
    with pytest.raises(ValueError, match="real"):
        TrimModel(net, pca, residual=1j * residual)


def test_wrong_kinds_are_named():
    class Wrapper:
        module_ = nn.Identity()

    with pytest.raises(TypeError, match=r"Pass net\.module_"):
        TrimModel(Wrapper(), None)
    with pytest.raises(TypeError, match=r"expected nn\.Module"):
        TrimModel(nn.Linear, None)
    with pytest.raises(TypeError, match="fitted transformer"):
        TrimModel(nn.Identity(), 3)
    with pytest.raises(NotFittedError):
        TrimModel(nn.Identity(), PCA(2))
