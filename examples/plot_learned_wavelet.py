"""
A learned wavelet that needs fewer coefficients
===============================================

A network reads something that is short in no wavelet of the textbook. A wavelet is
learned in which it is: few coefficients then say what the network does.
"""

import matplotlib.pyplot as plt
import numpy as np
import pywt
import torch
from torch import nn

from sktrim import TransformImportance, WaveletTransformer
from sktrim.learning import LearnedTransformer

# %%
# Series of white noise, and an answer that depends on three neighbouring wavelets of
# scale 2. Which wavelet that is, only the network is told, by examples; white noise
# has no wavelet of its own.

rng = np.random.default_rng(0)
X = rng.normal(size=(12_000, 64)).astype("float32")
planted = WaveletTransformer("coif1", level=2).fit(X)
s = planted.transform(X)
names = planted.get_feature_names_out()
read = [list(names).index(f"coif1 level 2 [{place}]") for place in (7, 8, 9)]
y = 2 * s[:, read].sum(axis=1, keepdims=True) + 0.1 * rng.normal(size=(len(X), 1))
y = y.astype("float32")

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 1))
optimizer = torch.optim.Adam(net.parameters(), 3e-3)
x, answer = torch.from_numpy(X[:10_000]), torch.from_numpy(y[:10_000])
for _ in range(12):
    for rows in torch.randperm(len(x)).split(100):
        loss = (net(x[rows]) - answer[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
net.eval()
X_test = X[10_000:]
with torch.no_grad():
    error = (net(torch.from_numpy(X_test)).numpy() - y[10_000:]).var() / y.var()
print(f"R2 of the network on new series: {1 - error:.3f}")

# %%
# The filter starts at db3 with noise, eight times over, and the start with the least
# loss goes on: there are many local minima. The loss weighs the sizes of the network's
# gradient in the coefficients, and nothing else, as white noise is sparse in no
# wavelet. After each step the filter is brought back to one that is orthonormal, so
# that nothing of the series is ever lost.

trim = TransformImportance(net, scorer="gradient").fit(X[:100])
learned = LearnedTransformer(
    "wavelet",
    trim=trim,
    wavelet="db3",
    noise=0.3,
    n_starts=8,
    level=2,
    sparsity=0.0,
    relevance=0.1,
    lr=0.01,
    max_epochs=60,
    batch_size=100,
    random_state=0,
).fit(X[:1000])
print(f"Reconstruction error: {learned.reconstruction_error_:.1e}")
sizes = learned.losses_[-1]["relevance"] / learned.relevance
print(f"Mean size of the gradient, for each scale: {sizes:.2f}")

# %%
# How many coefficients does one have to keep, those with the largest scores, until the
# network answers as before? `WaveletTransformer` takes the learned filter as it takes
# any wavelet of PyWavelets.

counts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]


def agreement(wavelet):
    """Return the share of the answers' variance that so many coefficients keep."""
    transformer = WaveletTransformer(wavelet, level=2)
    explained = TransformImportance(net, transformer, "input_x_gradient")
    explained.set_params(groups="coefficients").fit(X[:100])
    found = explained.explain(X_test)
    s = explained.transformer_.transform(X_test)
    order = np.argsort(-np.abs(found.values).mean(axis=0))
    shares = []
    for count in counts:
        kept = np.zeros_like(s)
        kept[:, order[:count]] = s[:, order[:count]]
        signals = explained.transformer_.inverse_transform(kept).astype("float32")
        with torch.no_grad():
            answers = net(torch.from_numpy(signals)).numpy()[:, 0]
        whole = found.predictions.ravel()
        shares.append(1 - (answers - whole).var() / whole.var())
    return np.array(shares)


wavelets = {
    "haar": "haar",
    "db3": "db3",
    "learned": learned.wavelet_,
    "coif1 (planted)": "coif1",
}
curves = {name: agreement(wavelet) for name, wavelet in wavelets.items()}
for name, shares in curves.items():
    enough = np.flatnonzero(shares > 0.95)
    first = counts[enough[0]] if len(enough) else 64
    print(f"{name:16} coefficients for 95 % of the variance: {first}")

# %%
# The learned filter is the planted one, up to its sign, its direction and a shift.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
styles = ["#777777", "#0072b2", "#d55e00", "#000000"]
taps = {
    "db3 (start, without noise)": pywt.Wavelet("db3").dec_lo,
    "learned": learned.wavelet_.dec_lo,
    "coif1 (planted)": pywt.Wavelet("coif1").dec_lo,
}


def aligned(low):
    """Turn and shift a filter so that it lies on the planted one."""
    whole = np.zeros(12)
    whole[3:9] = pywt.Wavelet("coif1").dec_lo
    options = [
        np.roll(np.pad(way, (3, 3)), shift)
        for way in (np.array(low), np.array(low)[::-1])
        for shift in range(-3, 4)
    ]
    options += [-option for option in options]
    return min(options, key=lambda option: np.linalg.norm(option - whole))


for (name, low), color in zip(taps.items(), styles[1:], strict=True):
    style = {"ls": "--", "marker": "o"} if "planted" in name else {"marker": "."}
    axes[0].plot(np.arange(-3, 9), aligned(low), label=name, color=color, **style)
axes[0].set(xlabel="tap", ylabel="low-pass filter", title="Filters, aligned")
axes[0].legend(fontsize="small")
for (name, shares), color in zip(curves.items(), styles, strict=True):
    style = "--" if "planted" in name else "-"
    axes[1].plot(counts, shares, style, label=name, color=color, marker=".")
axes[1].set(
    xscale="log",
    xticks=[1, 3, 10, 30, 64],
    xticklabels=[1, 3, 10, 30, 64],
    ylim=(-0.1, 1.05),
    xlabel="coefficients kept, of 64",
    ylabel="share of the answers' variance",
    title="What the network still says",
)
axes[1].legend(fontsize="small")
figure.tight_layout()
plt.show()
