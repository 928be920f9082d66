"""Small networks of every family, in float64 and eval mode, with random weights."""

import torch
import torch.nn.functional as F
from torch import nn


class LeNet(nn.Module):
    """The module spelling."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 10, 5)
        self.fc1 = nn.Linear(10 * 5 * 5, 24)
        self.fc2 = nn.Linear(24, 10)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.4)

    def forward(self, x):
        h = self.pool(self.relu(self.conv1(x)))
        h = self.pool(self.relu(self.conv2(h)))
        h = self.relu(self.fc1(self.drop(torch.flatten(h, 1))))
        return self.fc2(h)


class FunctionalLeNet(LeNet):
    """The functional spelling, log-softmax at the end."""

    def forward(self, x):
        h = F.max_pool2d(
            F.relu(F.conv2d(x, self.conv1.weight, self.conv1.bias, 1, 2)), 2
        )
        h = torch.max_pool2d(torch.relu(self.conv2(h)), (2, 2), (2, 2))
        h = h.view(-1, 10 * 5 * 5)
        h = F.relu(F.linear(F.dropout(h, 0.4, self.training), *self.fc1.parameters()))
        return F.log_softmax(h @ self.fc2.weight.t() + self.fc2.bias, dim=1)


class InPlaceLeNet(LeNet):
    """In place, results discarded, one ReLU, a softmax at the end."""

    def forward(self, x):
        h = self.conv1(x)
        F.relu(h, inplace=True)
        h = self.conv2(self.pool(h))
        h.relu_()
        h = self.pool(h)
        h = self.fc1(h.reshape(h.shape[0], -1))
        torch.relu_(h)
        logits = torch.addmm(self.fc2.bias, h, self.fc2.weight.T)
        return torch.softmax(logits, -1)


class Residual(nn.Module):
    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.short = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.short = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        h = self.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        h += self.short(x)
        return self.relu(h)


class PreActivation(Residual):
    def forward(self, x):
        # not in place: x is used again by the skip connection
        h = self.conv1(F.relu(nn.functional.batch_norm(x, *self._first())))
        h = self.conv2(F.relu(self.bn2(h)))
        return h + self.short(x)

    def __init__(self, n_in, n_out, stride=1):
        super().__init__(n_in, n_out, stride)
        self.bn1 = nn.BatchNorm2d(n_in)

    def _first(self):
        bn = self.bn1
        return bn.running_mean, bn.running_var, bn.weight, bn.bias


class ResNet18(nn.Module):
    """ResNet-18 with its maxpool stem; width 64 is the original."""

    def __init__(self, n_in=3, n_out=10, width=64, block=Residual, layers=(2, 2, 2, 2)):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        blocks, channels = [], width
        for i, count in enumerate(layers):
            for j in range(count):
                out, stride = width * 2**i, 2 if i and not j else 1
                blocks.append(block(channels, out, stride))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, n_out)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.blocks(x)), 1))


class M5(nn.Module):
    """Raw audio: four convolutions with batch norm, average over time."""

    def __init__(self, channels=8):
        super().__init__()
        self.steps = nn.ModuleList()
        sizes = [(1, channels, 20, 4), (channels, channels, 3, 1)]
        sizes += [(channels, 2 * channels, 3, 1)]
        for n_in, n_out, size, stride in sizes:
            self.steps.append(nn.Conv1d(n_in, n_out, size, stride))
            self.steps.append(nn.BatchNorm1d(n_out))
            self.steps.append(nn.ReLU())
            self.steps.append(nn.MaxPool1d(2))
        self.fc = nn.Linear(2 * channels, 5)

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        x = F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)
        return F.log_softmax(self.fc(x), dim=2).squeeze(1)


class UNet(nn.Module):
    """One level down and up, transposed convolution and interpolation, skips."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")
        self.deep = nn.Conv2d(4, 6, 3, padding=1)
        self.norm = nn.InstanceNorm2d(6, affine=True)
        self.up = nn.ConvTranspose2d(6, 4, 2, 2)
        self.join = nn.Conv2d(14, 3, 3, padding=1)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        a = F.leaky_relu(self.down(x), 0.1)
        b = F.gelu(self.norm(self.deep(F.avg_pool2d(a, 2))))
        wide = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        h = torch.cat([a, self.up(b), wide], dim=1)
        return self.out(F.silu(self.join(h)).mean(dim=(2, 3)))


class DenseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.bns = nn.ModuleList(nn.BatchNorm2d(2 + 3 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(2 + 3 * i, 3, 3, 1, 1) for i in range(3))
        self.fc = nn.Linear(11, 4)

    def forward(self, x):
        features = [x]
        for bn, conv in zip(self.bns, self.convs, strict=True):
            features.append(conv(F.relu(bn(torch.cat(features, 1)))))
        h = torch.cat(features, 1)
        return self.fc(F.adaptive_max_pool2d(h, 1).flatten(1))


class Recurrent(nn.Module):
    """A text classifier: embedding, recurrent layers, the last state."""

    def __init__(self, cell=nn.LSTM, bidirectional=False, layers=2):
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.cell = cell(
            6, 5, layers, batch_first=True, bidirectional=bidirectional, dropout=0.2
        )
        self.out = nn.Linear(10 if bidirectional else 5, 3)

    def forward(self, tokens):
        states, _ = self.cell(self.embed(tokens))
        return self.out(states[:, -1])


class TextTransformer(nn.Module):
    """Tokens, positions, encoder layers, the mean over tokens."""

    def __init__(self, batch_first=True, norm_first=False, activation="relu"):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.place = nn.Parameter(torch.randn(1, 7, 8))
        layer = nn.TransformerEncoderLayer(
            8, 2, 12, 0.1, activation, batch_first=batch_first, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.batch_first = batch_first
        self.out = nn.Linear(8, 3)

    def forward(self, tokens):
        h = self.embed(tokens) + self.place
        h = h if self.batch_first else h.transpose(0, 1)
        h = self.encoder(h)
        return self.out(h.mean(1 if self.batch_first else 0))


class ViT(nn.Module):
    """Patches, a class token, attention written out by hand."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(1, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.place = nn.Parameter(torch.randn(1, 10, 8))
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.mlp = nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 8))
        self.out = nn.Linear(8, 4)

    def forward(self, x):
        h = self.patch(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(h.size(0), -1, -1), h], 1) + self.place
        q, k, v = self.qkv(self.norm(h)).reshape(len(h), 10, 3, 2, 4).unbind(2)
        q, k, v = (t.permute(0, 2, 1, 3) for t in (q, k, v))
        weights = ((q @ k.transpose(-2, -1)) / 4**0.5).softmax(-1)
        h = h + (weights @ v).transpose(1, 2).flatten(2)
        h = h + self.mlp(self.norm(h))
        return self.out(self.norm(h)[:, 0])


class TwoInputs(nn.Module):
    """A gate on one input by the other."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 8)
        self.b = nn.Linear(4, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, a, b):
        return self.out(torch.tanh(self.a(a)) * torch.sigmoid(self.b(b)))


class Spectral(nn.Module):
    """Filters in Fourier space inside the network."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 9, dtype=torch.float64))
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        h = torch.fft.irfft(torch.fft.rfft(x, norm="ortho") * self.weight, n=16)
        return self.fc(F.softplus(h))


def randomise(net):
    """Give batch norms statistics and weights that are not trivial."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
    return net


def mlp():
    return nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 8), nn.ELU(),
                         nn.Linear(8, 3))  # fmt: skip


def vgg():
    def block(n_in, n_out):
        return [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(True)]

    return nn.Sequential(
        *block(1, 4), *block(4, 4), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        *block(4, 6), nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten(), nn.Linear(54, 12),
        nn.Hardswish(), nn.Dropout(), nn.Linear(12, 4), nn.Softmax(dim=1),
    )  # fmt: skip


IMAGE = (1, 28, 28)
NETS = {
    "mlp": (mlp, (10,)),
    "lenet": (LeNet, IMAGE),
    "lenet functional": (FunctionalLeNet, IMAGE),
    "lenet in place": (InPlaceLeNet, IMAGE),
    "vgg": (vgg, (1, 12, 12)),
    "resnet18": (lambda: ResNet18(1, 5, width=4), (1, 48, 48)),
    "resnet preactivation": (
        lambda: ResNet18(1, 5, 4, PreActivation, (1, 1)),
        (1, 16, 16),
    ),
    "m5": (M5, (1, 200)),
    "unet": (UNet, (1, 8, 8)),
    "densenet": (DenseBlock, (2, 6, 6)),
    "vit": (ViT, (1, 12, 12)),
    "two inputs": (TwoInputs, ((6,), (4,))),
    "spectral": (Spectral, (16,)),
    "lstm": (Recurrent, 7),
    "gru": (lambda: Recurrent(nn.GRU), 7),
    "rnn": (lambda: Recurrent(nn.RNN), 7),
    "lstm bidirectional": (lambda: Recurrent(bidirectional=True), 7),
    "transformer": (TextTransformer, 7),
    "transformer sequence first": (lambda: TextTransformer(False, True, "gelu"), 7),
}
FEED_FORWARD = [
    "mlp", "lenet", "lenet functional", "lenet in place", "vgg", "resnet18",
    "resnet preactivation", "m5", "densenet", "spectral",
]  # fmt: skip
TOKENS = [name for name, (_, shape) in NETS.items() if isinstance(shape, int)]


def build(name, seed=0, dtype=torch.float64):
    """Return a network of the zoo, leaving the global generator as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return randomise(NETS[name][0]()).to(dtype).eval()


def inputs(name, n=3, seed=0, dtype=torch.float64):
    """Return an input (a tuple for several) with a zero patch in every sample."""
    generator = torch.Generator().manual_seed(seed)
    shape = NETS[name][1]
    if isinstance(shape, int):
        return torch.randint(20, (n, shape), generator=generator)
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    values = tuple(
        torch.randn(n, *s, generator=generator, dtype=torch.float64).to(dtype)
        for s in shapes
    )
    for value in values:
        value[..., : value.shape[-1] // 3] = 0
    return values if isinstance(shape[0], tuple) else values[0]


def parts(x, n_masks=3, seed=1):
    """Return soft relevant parts (K, *x.shape), for tokens masks over positions."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(x, tuple):
        return tuple(parts(value, n_masks, seed + i) for i, value in enumerate(x))
    if not x.is_floating_point():
        draws = torch.rand(n_masks, *x.shape, generator=generator)
        return (draws > 0.5).to(torch.float64)
    shape = (n_masks, 1, *x.shape[1:])
    weights = torch.rand(shape, generator=generator, dtype=torch.float64).to(x.dtype)
    return weights.expand(n_masks, *x.shape) * x
