"""Families of transformers, small, entered where real values enter them."""

import torch

from benchmarks.zoo._entries import Called, Entry, normal

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEQ2SEQ = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "vocab_size": 64,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
T5 = {
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "vocab_size": 64,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
EXPERTS["moe"] = True
VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
SPEECH = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 12,
    "apply_spec_augment": False,
}


def _built(kind, config, auto):
    import transformers

    config = {key: value for key, value in config.items() if value is not None}
    # experts in one grouped product know no float64
    experts = {"experts_implementation": "eager"} if config.pop("moe", False) else {}
    made = transformers.AutoConfig.for_model(kind, **config)
    kept = getattr(transformers, auto)
    return kept.from_config(made, **experts) if auto.startswith("Auto") else kept(made)


def _first(output):
    if isinstance(output, torch.Tensor):
        return output
    for name in ("logits", "last_hidden_state", "prediction_outputs"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    return output[0]


def text(kind, auto="AutoModel", length=6, width=32, **config):
    """Return an entry that starts from embeddings of tokens."""

    def build():
        model = _built(kind, {**SMALL, **config}, auto)
        call = Called(model, lambda m, x: _first(m(inputs_embeds=x)))
        return call, normal(length, width)

    return Entry("transformers", kind, build)


def seq2seq(kind, common=SEQ2SEQ, length=6, **config):
    """Return an entry with an encoder from embeddings, and fixed decoder tokens."""

    def call(model, x):
        tokens = torch.tensor([[2, 5, 9]]).expand(len(x), 3)
        return _first(model(inputs_embeds=x, decoder_input_ids=tokens))

    def build():
        model = _built(kind, {**common, **config}, "AutoModel")
        return Called(model, call), normal(length, 32)

    return Entry("transformers", kind, build)


def picture(kind, size=32, auto="AutoModel", common=None, **config):
    """Return an entry that takes pictures."""

    def build():
        model = _built(kind, {**(common or {}), **config}, auto)
        call = Called(model, lambda m, x: _first(m(pixel_values=x)))
        return call, normal(3, size, size)

    return Entry("transformers", kind, build)


def video(kind, frames=4, size=32, **config):
    """Return an entry that takes videos."""

    def build():
        model = _built(kind, {**VISION, **config}, "AutoModel")
        call = Called(model, lambda m, x: _first(m(pixel_values=x)))
        return call, normal(frames, 3, size, size)

    return Entry("transformers", kind, build)


def speech(kind, length=400, **config):
    """Return an entry that takes waveforms."""

    def build():
        model = _built(kind, {**SPEECH, **config}, "AutoModel")
        call = Called(model, lambda m, x: _first(m(input_values=x)))
        return call, normal(length)

    return Entry("transformers", kind, build)


def other(kind, call, shape, auto="AutoModel", draw=normal, **config):
    """Return an entry with a call of its own."""

    def build():
        model = _built(kind, config, auto)
        return Called(model, lambda m, x: _first(call(m, x))), draw(*shape)

    return Entry("transformers", kind, build)
