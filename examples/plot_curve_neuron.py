"""
What a neuron wants to see
==========================

A simulated neuron answers to a curve, and is not linear in pixels. Three networks
predict it from textures; what drives their predictions most is compared with the curve
that was planted. A neuron that is noise alone is tried beside it.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from sktrim.datasets import simulate_neurons, texture_images
from sktrim.inspection import StimuliDisplay
from sktrim.stimuli import DeepTune

threadpool_limits(1)
torch.set_num_threads(1)

# %%
# Textures with the spectrum of natural images, and bars, arcs and edges in them. The
# neuron squares what it sees of its curve, never answers to a dark one, divides by
# contrast, and is measured with noise.

N_TRAIN, N_TEST = 1500, 500
X = texture_images(N_TRAIN + N_TEST, 14, random_state=0)
neuron = simulate_neurons(X, "curve", noise=0.3, random_state=1)
noise = simulate_neurons(X, "noise", random_state=1)
responses = np.concatenate([neuron.responses, noise.responses], axis=1)
X_train, X_test = np.split(X, [N_TRAIN])
y_train, y_test = np.split(responses, [N_TRAIN])

# %%
# Three networks of random filters that nobody trained: convolution, ReLU, mean pooling.
# What counts here is that their features bend, and that no two networks have the same.


def network(seed):
    """Return a network with random weights."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 24, 5), nn.ReLU(), nn.AvgPool2d(2)).double()


tune = DeepTune(
    [network(seed) for seed in range(3)],
    ["2"],
    "ridge",
    cv=3,
    n_starts=3,
    maximizer={"n_steps": 80},
    random_state=0,
).fit(X_train, y_train)
print(tune.scores_.round(3).to_string(index=False))

# %%
# Are images predicted that no readout has seen?

predicted = tune.predict(X_test)
for k, name in enumerate(["curve", "noise"]):
    r = np.corrcoef(predicted[:, k], y_test[:, k])[0, 1]
    print(f"{name} neuron: correlation on {N_TEST} images not seen {r:.2f}")

# %%
# The images that drive the predictions most, and whether to believe them. That starts
# and networks agree is not enough: they agree on noise as well, having seen the same
# noise. What tells it apart is that nothing is predicted.

images = tune.maximize(0)
of_noise = tune.maximize(1)
print(f"curve neuron: {images.stability.verdict}")
print(f"noise neuron: {of_noise.stability.verdict}")
found = [*images.images, images.consensus_image]
titles = [*(f"network {i}" for i in range(3)), "consensus"]
for name, image in zip(titles, found, strict=True):
    print(f"{name}: correlation with the planted curve {neuron.tuning(image):.2f}")

# %%
# For comparison, the best of the images that were shown.

best = X_test[np.argmax(y_test[:, 0])]
print(f"best image shown: correlation {neuron.tuning(best):.2f}")
shown = [neuron.templates[0], best, *found]
names = ["planted curve", f"best shown\nr = {neuron.tuning(best):.2f}"]
names += [
    f"{name}\nr = {neuron.tuning(image):.2f}"
    for name, image in zip(titles, found, strict=True)
]
# each at its own contrast
shown = np.stack([image / np.abs(image).max() for image in shown])
display = StimuliDisplay.from_signals(shown, names, n_columns=6)
display.figure_.suptitle(
    "What drives a curve neuron: planted, shown, and made by DeepTune\n"
    f"cross-validated correlation {images.stability.correlation:.2f}, "
    f"agreement over networks {images.stability.over_models:.2f}",
    fontsize="medium",
)
plt.show()
