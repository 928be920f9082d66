"""Families of transformers for pictures, sound and series."""

import torch

from benchmarks.zoo._entries import uniform
from benchmarks.zoo._transformers import (
    SEQ2SEQ,
    SMALL,
    VISION,
    other,
    picture,
    speech,
    video,
)


def _tensor(value):
    return value if isinstance(value, torch.Tensor) else value[0]


def _past(model, x):
    times = torch.zeros(len(x), x.shape[1], 1, dtype=x.dtype)
    later = torch.zeros(len(x), 4, 1, dtype=x.dtype)
    return model(
        past_values=x,
        past_time_features=times,
        past_observed_mask=torch.ones_like(times[..., 0]),
        future_time_features=later,
        future_values=torch.zeros(len(x), 4, dtype=x.dtype),
    )


def _whole_decision(model, x):
    n, length = x.shape[:2]
    return model(
        states=x,
        actions=torch.zeros(n, length, 2, dtype=x.dtype),
        rewards=torch.zeros(n, length, 1, dtype=x.dtype),
        returns_to_go=torch.ones(n, length, 1, dtype=x.dtype),
        timesteps=torch.arange(length).expand(n, length),
        attention_mask=torch.ones(n, length, dtype=torch.long),
    ).action_preds


SERIES = {
    "prediction_length": 4,
    "context_length": 8,
    "lags_sequence": [1, 2],
    "num_time_features": 1,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}

PICTURES = [
    picture("vit", common=VISION),
    picture("deit", common=VISION),
    picture(
        "beit",
        common=VISION,
        use_relative_position_bias=True,
        layer_scale_init_value=0.1,
    ),
    picture("data2vec-vision", common=VISION),
    picture("dinov2", common=VISION, mlp_ratio=2),
    picture("dinov3_vit", common=VISION),
    picture("vit_msn", common=VISION),
    picture("ijepa", common=VISION),
    picture("yolos", common=VISION, image_size=[32, 32], num_detection_tokens=4),
    picture("siglip_vision_model", common=VISION),
    picture("clip_vision_model", common=VISION),
    picture(
        "swin",
        embed_dim=16,
        depths=[1, 1],
        num_heads=[2, 4],
        window_size=2,
        image_size=32,
        patch_size=4,
    ),
    picture(
        "swinv2",
        embed_dim=16,
        depths=[1, 2],
        num_heads=[2, 4],
        window_size=2,
        image_size=32,
        patch_size=4,
    ),
    picture("convnext", **STAGES),
    picture("convnextv2", **STAGES),
    picture("resnet", embedding_size=8, layer_type="basic", **STAGES),
    picture("regnet", embedding_size=8, groups_width=4, **STAGES),
    picture(
        "bit", embedding_size=8, num_groups=4, hidden_sizes=[16, 32], depths=[1, 1]
    ),
    picture("mobilenet_v1", depth_multiplier=0.25),
    picture("mobilenet_v2", depth_multiplier=0.25),
    picture(
        "efficientnet",
        width_coefficient=0.3,
        depth_coefficient=0.3,
        size=64,
        hidden_dim=384,
        initializer_range=0.2,
    ),
    picture(
        "mobilevit",
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32],
        size=64,
        image_size=64,
    ),
    picture("mobilevitv2", width_multiplier=0.25, size=64, image_size=64),
    picture(
        "levit",
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 1, 1],
        key_dim=[4, 4, 4],
        image_size=64,
        size=64,
    ),
    picture("cvt", embed_dim=[16, 16, 32], num_heads=[1, 2, 2], depth=[1, 2, 3]),
    picture(
        "pvt",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        image_size=32,
    ),
    picture(
        "pvt_v2",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
    ),
    picture("poolformer", **STAGES),
    picture(
        "segformer",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=16,
        auto="AutoModelForSemanticSegmentation",
    ),
    picture(
        "focalnet",
        embed_dim=8,
        depths=[1, 1],
        focal_levels=[2, 2],
        focal_windows=[3, 3],
        image_size=32,
    ),
    picture("swiftformer", embed_dims=[16, 24, 32, 48], depths=[1, 1, 1, 1], size=64),
    picture(
        "hiera",
        embed_dim=16,
        depths=[1, 1],
        num_heads=[1, 2],
        image_size=[32, 32],
        masked_unit_size=[4, 4],
        num_query_pool=1,
    ),
    picture(
        "glpn",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 2, 4],
        decoder_hidden_size=8,
        auto="AutoModelForDepthEstimation",
    ),
    picture(
        "dpt",
        common=VISION,
        auto="AutoModelForDepthEstimation",
        num_hidden_layers=4,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 16, 24, 32],
        fusion_hidden_size=16,
    ),
    video("timesformer", num_frames=4),
    video("videomae", num_frames=4, tubelet_size=2),
    video("vivit", num_frames=4, tubelet_size=[2, 8, 8]),
]
SOUND = [
    speech("wav2vec2"),
    speech("hubert"),
    speech("wavlm"),
    speech("unispeech"),
    speech("unispeech-sat"),
    speech("sew", squeeze_factor=2),
    speech("data2vec-audio"),
    speech("wav2vec2-conformer"),
    other(
        "wav2vec2-bert",
        lambda m, x: m(input_features=x),
        (8, 20),
        feature_projection_input_dim=20,
        apply_spec_augment=False,
        **{
            k: SMALL[k]
            for k in (
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "intermediate_size",
            )
        },
    ),
    other(
        "audio-spectrogram-transformer",
        lambda m, x: m(input_values=x),
        (24, 16),
        max_length=24,
        num_mel_bins=16,
        patch_size=8,
        frequency_stride=8,
        time_stride=8,
        **{
            k: VISION[k]
            for k in (
                "hidden_size",
                "num_hidden_layers",
                "num_attention_heads",
                "intermediate_size",
            )
        },
    ),
    other(
        "whisper",
        lambda m, x: m.get_encoder()(input_features=x),
        (16, 24),
        num_mel_bins=16,
        max_source_positions=12,
        **SEQ2SEQ,
    ),
    other(
        "speech_to_text",
        lambda m, x: m.get_encoder()(input_features=x),
        (24, 16),
        input_feat_per_channel=16,
        conv_channels=16,
        max_source_positions=24,
        **SEQ2SEQ,
    ),
    other(
        "moonshine",
        lambda m, x: m.get_encoder()(input_values=x),
        (1500,),
        encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=4,
        decoder_num_attention_heads=4,
        **{k: SMALL[k] for k in ("hidden_size", "intermediate_size", "vocab_size")},
    ),
    other(
        "encodec",
        lambda m, x: (_tensor(m.encoder(x)),),
        (1, 320),
        num_filters=4,
        hidden_size=16,
        upsampling_ratios=[4, 2],
        num_lstm_layers=1,
    ),
    other(
        "mimi",
        lambda m, x: (_tensor(m.encoder(x)),),
        (1, 320),
        num_filters=4,
        hidden_size=16,
        upsampling_ratios=[4, 2],
        num_hidden_layers=1,
        upsample_groups=16,
        num_attention_heads=2,
        intermediate_size=24,
        head_dim=8,
        num_key_value_heads=2,
    ),
]
VALUES = [
    other(
        "patchtst",
        lambda m, x: m(past_values=x),
        (32, 2),
        num_input_channels=2,
        context_length=32,
        patch_length=8,
        patch_stride=8,
        d_model=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=24,
    ),
    other(
        "patchtsmixer",
        lambda m, x: m(past_values=x),
        (32, 2),
        num_input_channels=2,
        context_length=32,
        patch_length=8,
        patch_stride=8,
        d_model=16,
        num_layers=2,
    ),
    other("time_series_transformer", _past, (10,), **SERIES),
    other("informer", _past, (10,), **SERIES),
    other("autoformer", _past, (10,), label_length=4, **SERIES),
    other(
        "decision_transformer",
        _whole_decision,
        (5, 6),
        state_dim=6,
        act_dim=2,
        hidden_size=16,
        n_layer=2,
        n_head=2,
        max_ep_len=32,
    ),
    other(
        "perceiver",
        lambda m, x: m(inputs=x),
        (10, 12),
        d_model=12,
        num_latents=4,
        d_latents=16,
        num_blocks=1,
        num_self_attends_per_block=2,
        num_self_attention_heads=2,
        num_cross_attention_heads=2,
        draw=uniform,
    ),
]
ENTRIES = [*PICTURES, *SOUND, *VALUES]
