"""
What a forecast looks back at
=============================

A network forecasts the temperature of the Pacific eight quarters ahead, from the ten
years before. Which periods does it use, and does that change with the lead time? The
outputs are a horizon, explained side by side.
"""

import matplotlib.pyplot as plt
import numpy as np
import pywt
import torch
from torch import nn

from sktrim import FourierTransformer, TransformImportance

# %%
# Quarterly temperatures of the El Nino region, 1950 to 2015, standardised, which ship
# with PyWavelets.

_, series = pywt.data.nino()
window, horizon = 40, 8
starts = np.arange(len(series) - window - horizon)
X = np.stack([series[i : i + window] for i in starts]).astype("float32")
Y = np.stack([series[i + window : i + window + horizon] for i in starts])
Y = Y.astype("float32")
train, test = slice(0, 140), slice(190, None)

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(window, 32), nn.Tanh(), nn.Linear(32, horizon))
optimizer = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=0.02)
x, target = torch.tensor(X[train]), torch.tensor(Y[train])
for _ in range(300):
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), target).backward()
    optimizer.step()
net.eval()

error = (net(torch.tensor(X[test])).detach().numpy() - Y[test]) ** 2
print("explained variance by lead time:", (1 - error.mean(0) / Y[test].var()).round(2))

# %%
# All eight outputs side by side, with the frequencies of the ten years before as
# groups: ``target="all"``. (For outputs of several axes it may be an index into them,
# such as ``(slice(None), 0)``.) Integrated gradients are complete: what they share out
# is the whole forecast.


def periods(fourier):
    """Bands of frequencies in cycles per year."""
    edges = [0, 0.15, 0.35, 0.65, 1.05, 2.01]
    return fourier.feature_groups(
        by="band", edges=edges, sample_spacing=0.25, unit="cycles/year"
    )


trim = TransformImportance(
    net, FourierTransformer(), "integrated_gradients", groups=periods, target="all",
    output="raw",
).fit(X[train])  # fmt: skip
explanation = trim.explain(X[test])
print(f"largest completeness error: {np.abs(explanation.completeness_error).max():.1e}")

# %%
# Mean magnitude of the scores by lead time: the cycle of the year carries the forecast
# however far it goes, the slower swings of El Nino count for less the farther it goes,
# and what changes from quarter to quarter helps for half a year alone.

explanation.plot.horizon(np.arange(1, horizon + 1) / 4, xlabel="lead time (years)")
plt.show()
