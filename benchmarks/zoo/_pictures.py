"""Networks for pictures and volumes: segmentation, MONAI, older ones."""

from importlib import import_module

from torch import nn

from benchmarks.zoo._entries import Called, Entry, normal


def _made(module, name, options):
    return getattr(import_module(module), name)(**options)


def plain(package, module, name, shape, label=None, pick=None, **options):
    """Return an entry of a class with keyword arguments.

    Parameters
    ----------
    package, module, name : str
        The class is ``module.name``.
    shape : tuple of int
        Of one row of the input.
    label : str, optional
        Where a class comes more than once.
    pick : int, optional
        Which of several outputs is explained.
    **options
    """

    def build():
        model = _made(module, name, options)
        if pick is not None:
            model = Called(model, lambda m, x: m(x)[pick])
        return model, normal(*shape)

    return Entry(package, label or name, build)


def segmentation(name, encoder="tu-resnet10t", size=64, **options):
    """Return an entry of segmentation-models-pytorch."""

    def build():
        import segmentation_models_pytorch as smp

        model = getattr(smp, name)(encoder, encoder_weights=None, classes=2, **options)
        return model, normal(3, size, size)

    return Entry("segmentation-models-pytorch", f"{name}, {encoder}", build)


SMALL_DECODER = {"encoder_depth": 3, "decoder_channels": (32, 16, 8)}
SEGMENTATION = [
    segmentation("Unet", **SMALL_DECODER),
    segmentation(
        "Unet",
        "tu-mobilenetv3_small_050",
        decoder_attention_type="scse",
        encoder_depth=3,
        decoder_channels=(32, 16, 16),
    ),
    segmentation("Unet", "efficientnet-b0", **SMALL_DECODER),
    segmentation("UnetPlusPlus", **SMALL_DECODER),
    segmentation("MAnet", **SMALL_DECODER),
    segmentation("Linknet"),
    segmentation("FPN"),
    segmentation("PSPNet"),
    segmentation("PAN", size=128),
    segmentation("DeepLabV3"),
    segmentation("DeepLabV3Plus"),
    segmentation("UPerNet"),
    segmentation("Segformer", "mit_b0"),
]


def monai(name, shape, label=None, pick=None, **options):
    """Return an entry of MONAI."""
    module = "monai.networks.nets"
    return plain("monai", module, name, shape, label, pick, **options)


FLAT_UNET = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
LEVELS = {"channels": (4, 8, 16), "strides": (2, 2)}
PICTURE = (1, 32, 32)
MONAI = [
    monai("UNet", PICTURE, **FLAT_UNET, **LEVELS),
    monai("UNet", PICTURE, "UNet, residual", num_res_units=2, **FLAT_UNET, **LEVELS),
    monai(
        "UNet",
        (1, 16, 16, 16),
        "UNet, 3-D",
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        **LEVELS,
    ),
    monai("BasicUNet", PICTURE, features=(4, 4, 8, 8, 16, 4), **FLAT_UNET),
    monai(
        "BasicUNetPlusPlus", PICTURE, features=(4, 4, 8, 8, 16, 4), pick=0, **FLAT_UNET
    ),
    monai("AttentionUnet", PICTURE, **FLAT_UNET, **LEVELS),
    monai("SegResNet", PICTURE, init_filters=8, **FLAT_UNET),
    monai("VNet", PICTURE, **FLAT_UNET),
    monai(
        "DynUNet",
        PICTURE,
        kernel_size=(3, 3, 3),
        strides=(1, 2, 2),
        upsample_kernel_size=(2, 2),
        filters=(4, 8, 16),
        **FLAT_UNET,
    ),
    monai(
        "UNETR",
        PICTURE,
        img_size=32,
        feature_size=4,
        hidden_size=24,
        mlp_dim=32,
        num_heads=2,
        **FLAT_UNET,
    ),
    monai(
        "SwinUNETR",
        (1, 64, 64),
        depths=(1, 1, 1, 1),
        num_heads=(2, 2, 2, 2),
        feature_size=12,
        window_size=2,
        **FLAT_UNET,
    ),
    monai(
        "ViT",
        PICTURE,
        in_channels=1,
        img_size=32,
        patch_size=8,
        hidden_size=24,
        mlp_dim=32,
        num_layers=2,
        num_heads=2,
        classification=True,
        spatial_dims=2,
        pick=0,
    ),
    monai(
        "ViTAutoEnc",
        PICTURE,
        in_channels=1,
        img_size=32,
        patch_size=4,
        hidden_size=24,
        mlp_dim=32,
        num_layers=2,
        num_heads=2,
        spatial_dims=2,
        pick=0,
    ),
    monai(
        "AHNet",
        (1, 64, 64),
        spatial_dims=2,
        layers=(1, 1, 1, 1),
        out_channels=2,
        psp_block_num=2,
        upsample_mode="nearest",
    ),
    monai("HighResNet", PICTURE, **FLAT_UNET),
    monai(
        "DenseNet",
        PICTURE,
        init_features=8,
        growth_rate=4,
        block_config=(2, 2),
        **FLAT_UNET,
    ),
    monai(
        "ResNet",
        PICTURE,
        block="basic",
        layers=[1, 1, 1, 1],
        block_inplanes=[4, 8, 8, 16],
        spatial_dims=2,
        n_input_channels=1,
        num_classes=3,
    ),
    monai(
        "SEResNet50",
        PICTURE,
        spatial_dims=2,
        in_channels=1,
        num_classes=3,
        layers=(1, 1, 1, 1),
        inplanes=16,
    ),
    monai(
        "EfficientNetBN",
        (1, 64, 64),
        model_name="efficientnet-b0",
        pretrained=False,
        in_channels=1,
        num_classes=3,
    ),
    monai(
        "FlexibleUNet",
        (1, 64, 64),
        in_channels=1,
        out_channels=2,
        backbone="efficientnet-b0",
        decoder_channels=(32, 16, 8, 8, 4),
    ),
    monai(
        "MedNeXt",
        PICTURE,
        init_filters=4,
        kernel_size=3,
        blocks_down=(1, 1, 1, 1),
        blocks_up=(1, 1, 1, 1),
        blocks_bottleneck=1,
        **FLAT_UNET,
    ),
    monai("AutoEncoder", PICTURE, channels=(4, 8), strides=(2, 2), **FLAT_UNET),
    monai("Regressor", PICTURE, in_shape=PICTURE, out_shape=(2,), **LEVELS),
    monai("Classifier", PICTURE, in_shape=PICTURE, classes=3, **LEVELS),
    monai("Critic", PICTURE, in_shape=PICTURE, **LEVELS),
    monai(
        "LocalNet",
        PICTURE,
        spatial_dims=2,
        in_channels=1,
        num_channel_initial=4,
        extract_levels=(0, 1, 2),
        out_channels=2,
    ),
    monai(
        "RegUNet",
        PICTURE,
        spatial_dims=2,
        in_channels=1,
        num_channel_initial=4,
        depth=2,
        out_channels=2,
    ),
    monai(
        "AutoencoderKL",
        PICTURE,
        channels=(8, 8),
        num_res_blocks=1,
        norm_num_groups=4,
        attention_levels=(False, True),
        pick=1,
        **FLAT_UNET,
    ),
    monai("Quicknat", PICTURE, num_classes=2, num_filters=4),
    monai(
        "FullyConnectedNet",
        (12,),
        in_channels=12,
        out_channels=3,
        hidden_channels=(8, 8),
    ),
]


def older(name, size=96):
    """Return an entry of pretrainedmodels, without its weights."""

    def build():
        import pretrainedmodels

        model = pretrainedmodels.__dict__[name](num_classes=5, pretrained=None)
        return model, normal(3, size, size)

    return Entry("pretrainedmodels", name, build)


def _efficient():
    from efficientnet_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-b0", num_classes=5), normal(3, 64, 64)


def _lambda():
    from lambda_networks import LambdaLayer

    layer = LambdaLayer(8, dim_k=4, r=3, heads=2, dim_out=8)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), layer), normal(3, 12, 12)


def _halo():
    from halonet_pytorch import HaloAttention

    layer = HaloAttention(dim=8, block_size=4, halo_size=2, dim_head=4, heads=2)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), layer), normal(3, 8, 8)


def _axial():
    from axial_attention import AxialImageTransformer

    return AxialImageTransformer(dim=8, depth=1, heads=2, reversible=False), normal(
        8, 6, 6
    )


OTHERS = [
    Entry("efficientnet-pytorch", "efficientnet-b0", _efficient),
    older("bninception", 224),
    older("nasnetamobile", 224),
    plain(
        "mlp-mixer-pytorch",
        "mlp_mixer_pytorch",
        "MLPMixer",
        (3, 32, 32),
        image_size=32,
        channels=3,
        patch_size=8,
        dim=24,
        depth=2,
        num_classes=5,
    ),
    plain(
        "res-mlp-pytorch",
        "res_mlp_pytorch",
        "ResMLP",
        (3, 32, 32),
        image_size=32,
        patch_size=8,
        dim=24,
        depth=2,
        num_classes=5,
    ),
    plain(
        "g-mlp-pytorch",
        "g_mlp_pytorch",
        "gMLPVision",
        (3, 32, 32),
        image_size=32,
        patch_size=8,
        dim=24,
        depth=2,
        num_classes=5,
    ),
    Entry("lambda-networks", "LambdaLayer", _lambda),
    Entry("halonet-pytorch", "HaloAttention", _halo),
    Entry("axial-attention", "AxialImageTransformer", _axial),
]
ENTRIES = [*SEGMENTATION, *MONAI, *OTHERS]
