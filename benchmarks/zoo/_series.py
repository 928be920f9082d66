"""Networks for signals: braindecode, tsai, convolutions over time, speech, filters."""

import torch
from torch import nn

from benchmarks.zoo._entries import Called, Entry, normal
from benchmarks.zoo._pictures import plain

EEG = {"n_chans": 4, "n_outputs": 3, "sfreq": 100, "n_times": 200}


def eeg(name, n_times=200, **options):
    """Return an entry of braindecode."""
    shape = (options.get("n_chans", 4), n_times)
    made = {**EEG, "n_times": n_times, **options}
    return plain("braindecode", "braindecode.models", name, shape, **made)


BRAINDECODE = [
    eeg("ATCNet", 400),
    eeg("AttentionBaseNet", 400),
    eeg("AttnSleep", 3000, n_chans=1),
    eeg("BDTCN", drop_prob=0.1),
    eeg("BIOT", 400, embed_dim=32, num_layers=1, num_heads=2),
    eeg("CTNet", 400),
    eeg("ContraWR", 400),
    eeg("Deep4Net", 600),
    eeg("DeepSleepNet", 3000, n_chans=1),
    eeg("EEGConformer", 400),
    eeg("EEGITNet"),
    eeg("EEGInceptionERP"),
    eeg("EEGInceptionMI"),
    eeg("EEGMiner"),
    eeg("EEGNeX"),
    eeg("EEGNet"),
    eeg("EEGSimpleConv", feature_maps=16),
    eeg("EEGTCNet"),
    eeg("FBCNet"),
    eeg("FBLightConvNet", 400),
    eeg("FBMSNet"),
    eeg("HybridNet", 600),
    eeg("IFNet"),
    eeg("Labram", n_chans=128, patch_size=100, embed_dim=20, num_layers=2, num_heads=2),
    eeg("MEDFormer", embed_dim=16, num_heads=2),
    eeg("MSVTNet"),
    eeg("SCCNet"),
    eeg("SPARCNet", block_layers=2),
    eeg("SSTDPN", 400),
    eeg("SincShallowNet"),
    eeg("ShallowFBCSPNet"),
    eeg("SleepStagerBlanco2020", 1000),
    eeg("SleepStagerChambon2018"),
    eeg("SyncNet"),
    eeg("TCFormer", 400),
    eeg("TIDNet"),
    eeg("TSception"),
    eeg("USleep", 3000, n_chans=2, depth=4),
]

SERIES = {"c_in": 3, "c_out": 4, "seq_len": 32}
NO_LENGTH = {"c_in": 3, "c_out": 4}


def series(module, name, length=32, **options):
    """Return an entry of tsai."""
    return plain("tsai", f"tsai.models.{module}", name, (3, length), **options)


def _rocket():
    from tsai.models.MINIROCKET_Pytorch import MiniRocketFeatures, MiniRocketHead

    features = MiniRocketFeatures(3, 32, num_features=168)
    # biases are quantiles of what its convolutions give for a first signal
    features.fit(normal(3, 32), chunksize=3)
    head = MiniRocketHead(features.num_features, 4)
    return nn.Sequential(features, head), normal(3, 32)


TSAI = [
    series("InceptionTime", "InceptionTime", nf=8, **NO_LENGTH),
    series("InceptionTimePlus", "InceptionTimePlus", nf=8, **SERIES),
    series("ResNet", "ResNet", **NO_LENGTH),
    series("FCN", "FCN", layers=[8, 12, 8], **NO_LENGTH),
    series("XceptionTime", "XceptionTime", nf=4, adaptive_size=10, **NO_LENGTH),
    series("OmniScaleCNN", "OmniScaleCNN", layers=[64, 512], **SERIES),
    series("MLP", "MLP", layers=[16, 16, 16], **SERIES),
    series("TST", "TST", n_layers=2, d_model=16, n_heads=4, d_ff=24, **SERIES),
    series("TSTPlus", "TSTPlus", n_layers=2, d_model=16, n_heads=4, d_ff=24, **SERIES),
    series("TSiTPlus", "TSiTPlus", depth=2, d_model=16, n_heads=4, **SERIES),
    series("TCN", "TCN", layers=[8, 8, 8], ks=3, **NO_LENGTH),
    series("ResCNN", "ResCNN", **NO_LENGTH),
    series("mWDN", "mWDN", levels=2, nf=4, **SERIES),
    series("RNN", "LSTM", hidden_size=8, bidirectional=True, **NO_LENGTH),
    series("RNN", "GRU", hidden_size=8, n_layers=2, **NO_LENGTH),
    series("RNN_FCN", "LSTM_FCN", hidden_size=8, conv_layers=[8, 12, 8], **SERIES),
    series(
        "RNN_FCN", "MGRU_FCN", hidden_size=8, conv_layers=[8, 12, 8], se=4, **SERIES
    ),
    series("gMLP", "gMLP", d_model=16, d_ffn=24, depth=2, **SERIES),
    series(
        "PatchTST",
        "PatchTST",
        pred_dim=4,
        d_model=16,
        n_heads=4,
        d_ff=24,
        patch_len=8,
        stride=4,
        **SERIES,
    ),
    series(
        "TSPerceiver",
        "TSPerceiver",
        n_latents=4,
        d_latent=16,
        n_layers=2,
        self_n_heads=2,
        **SERIES,
    ),
    series("XResNet1d", "xresnet1d18", **NO_LENGTH),
    series("XCM", "XCM", nf=8, **SERIES),
    series("ConvTranPlus", "ConvTranPlus", dim_ff=24, **SERIES),
    series(
        "TransformerModel",
        "TransformerModel",
        d_model=16,
        d_ffn=24,
        n_layers=2,
        n_head=2,
        **NO_LENGTH,
    ),
    series("TSSequencerPlus", "TSSequencerPlus", d_model=16, depth=2, **SERIES),
    series("HydraPlus", "HydraPlus", k=4, g=4, zero_init=False, **SERIES),
    Entry("tsai", "MiniRocket", _rocket),
]


def _tasnet():
    from speechbrain.lobes.models.conv_tasnet import MaskNet

    net = MaskNet(N=8, B=8, H=12, P=3, X=2, R=1, C=2)
    # the speakers come before the rows
    return Called(net, lambda m, x: m(x).transpose(0, 1)), normal(8, 20)


def _joined(features):
    """Return an entry's module: fixed features of a waveform, then a small network."""
    return nn.Sequential(features, nn.Flatten(), nn.LazyLinear(6), nn.ReLU())


def _with_net(package, name, make, shape):
    def build():
        x = normal(*shape)
        net = _joined(make()).to(x.dtype)
        with torch.no_grad():
            net(x)
        return net, x

    return Entry(package, name, build)


def _features(name, **options):
    def make():
        import nnAudio.features

        return getattr(nnAudio.features, name)(verbose=False, **options)

    return _with_net("nnaudio", name, make, (1024,))


def _fbank(name, **options):
    def make():
        import speechbrain.lobes.features

        return getattr(speechbrain.lobes.features, name)(n_mels=12, **options)

    return _with_net("speechbrain", name, make, (1600,))


def _scattering(dimensions):
    def make():
        import scipy.special

        # scipy has lost a function that kymatio imports for three dimensions
        scipy.special.sph_harm = getattr(scipy.special, "sph_harm", None)
        import kymatio.torch

        if dimensions == 1:
            return kymatio.torch.Scattering1D(J=3, shape=128, Q=4)
        return kymatio.torch.Scattering2D(J=2, shape=(16, 16), L=4)

    shape = (128,) if dimensions == 1 else (16, 16)
    return _with_net("kymatio", f"Scattering{dimensions}D", make, shape)


def _conformer_encoder():
    from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder

    encoder = ConformerEncoder(
        num_layers=2,
        d_model=16,
        d_ffn=24,
        nhead=2,
        kernel_size=5,
        attention_type="regularMHA",
    )
    return Called(encoder, lambda m, x: m(x)[0]), normal(10, 16)


def _transformer_encoder():
    from speechbrain.lobes.models.transformer.Transformer import TransformerEncoder

    encoder = TransformerEncoder(num_layers=2, nhead=2, d_ffn=24, d_model=16)
    return Called(encoder, lambda m, x: m(x)[0]), normal(10, 16)


def _light_gru():
    from speechbrain.nnet.RNN import LiGRU

    gru = LiGRU(hidden_size=8, input_shape=(3, 7, 6), bidirectional=True)
    return Called(gru, lambda m, x: m(x)[0]), normal(7, 6)


def _mask():
    from speechbrain.lobes.models.MetricGAN import EnhancementGenerator

    net = EnhancementGenerator(input_size=20, hidden_size=200, num_layers=1)
    return Called(net, lambda m, x: m(x, torch.ones(len(x)))), normal(9, 20)


LOBES = "speechbrain.lobes.models"
SPEECH = [
    plain(
        "speechbrain",
        f"{LOBES}.ECAPA_TDNN",
        "ECAPA_TDNN",
        (40, 12),
        input_size=12,
        channels=[16, 16, 16, 16, 32],
        attention_channels=8,
        res2net_scale=4,
        se_channels=8,
        lin_neurons=6,
    ),
    plain(
        "speechbrain",
        f"{LOBES}.Xvector",
        "Xvector",
        (40, 12),
        in_channels=12,
        tdnn_channels=[16, 16, 16, 16, 24],
        lin_neurons=6,
    ),
    plain(
        "speechbrain",
        f"{LOBES}.CRDNN",
        "CRDNN",
        (20, 12),
        input_shape=[3, 20, 12],
        cnn_channels=[4, 8],
        rnn_layers=1,
        rnn_neurons=8,
        dnn_blocks=1,
        dnn_neurons=8,
    ),
    plain(
        "speechbrain",
        f"{LOBES}.ResNet",
        "ResNet",
        (40, 16),
        input_size=16,
        channels=[8, 8, 12, 12],
        block_sizes=[1, 1, 1, 1],
        lin_neurons=6,
    ),
    plain(
        "speechbrain",
        f"{LOBES}.ContextNet",
        "ContextNet",
        (20, 12),
        input_shape=[3, 20, 12],
        out_channels=12,
        conv_channels=[8] * 3,
        strides=[1, 2, 1],
        num_blocks=3,
        num_layers=2,
    ),
    Entry("speechbrain", "ConformerEncoder", _conformer_encoder),
    Entry("speechbrain", "TransformerEncoder", _transformer_encoder),
    Entry("speechbrain", "LiGRU", _light_gru),
    Entry("speechbrain", "EnhancementGenerator", _mask),
    Entry("speechbrain", "MaskNet", _tasnet),
    _fbank("Fbank"),
    _fbank("MFCC", n_mfcc=8),
    plain("torchcrepe", "torchcrepe.model", "Crepe", (1024,), model="tiny"),
    _scattering(1),
    _scattering(2),
    _features("STFT", n_fft=64, hop_length=32, output_format="Magnitude"),
    _features("MelSpectrogram", n_fft=64, hop_length=32, n_mels=12),
    _features("MFCC", n_mfcc=8, n_fft=64, hop_length=32, n_mels=12),
    _features("CQT1992v2", sr=8000, hop_length=64, fmin=500, n_bins=12),
    _features("Gammatonegram", n_fft=64, hop_length=32, n_bins=8),
    plain(
        "pytorch-tcn",
        "pytorch_tcn",
        "TCN",
        (4, 24),
        num_inputs=4,
        num_channels=[6, 6],
        kernel_size=3,
    ),
]
ENTRIES = [*BRAINDECODE, *TSAI, *SPEECH]
