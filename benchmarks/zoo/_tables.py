"""Networks for tables and sequences: rtdl, tabm, TabNet, x-transformers and others."""

import torch

from benchmarks.zoo._entries import Called, Entry, normal
from benchmarks.zoo._pictures import plain

N_COLUMNS = 8


def _ft():
    from rtdl_revisiting_models import FTTransformer

    model = FTTransformer(
        n_cont_features=N_COLUMNS,
        cat_cardinalities=[],
        d_out=3,
        n_blocks=2,
        d_block=16,
        attention_n_heads=2,
        attention_dropout=0.1,
        ffn_d_hidden=None,
        ffn_d_hidden_multiplier=1.5,
        ffn_dropout=0.1,
        residual_dropout=0.0,
    )
    return Called(model, lambda m, x: m(x, None)), normal(N_COLUMNS)


def _embedded(name, **options):
    def build():
        import rtdl_num_embeddings
        from rtdl_revisiting_models import MLP

        embed = getattr(rtdl_num_embeddings, name)(**options)
        net = MLP(d_in=N_COLUMNS * 6, d_out=3, n_blocks=2, d_block=12, dropout=0.1)
        return torch.nn.Sequential(embed, torch.nn.Flatten(), net), normal(N_COLUMNS)

    return Entry("rtdl", name, build)


def _bins():
    edges = torch.linspace(-2, 2, 5)
    return [edges for _ in range(N_COLUMNS)]


def _tabm(label, **options):
    def build():
        from tabm import TabM

        made = {
            "n_num_features": N_COLUMNS,
            "d_out": 3,
            "n_blocks": 2,
            "d_block": 12,
            "dropout": 0.1,
            "k": 4,
            **options,
        }
        return TabM(**made), normal(N_COLUMNS)

    return Entry("tabm", label, build)


def _tab_transformer(name, **options):
    def build():
        import tab_transformer_pytorch

        made = {
            "categories": (3, 4),
            "num_continuous": N_COLUMNS,
            "dim": 16,
            "depth": 2,
            "heads": 2,
            "dim_head": 8,
            "dim_out": 3,
            **options,
        }
        model = getattr(tab_transformer_pytorch, name)(**made)

        def call(module, x):
            categories = torch.tensor([[1, 2]]).expand(len(x), 2)
            return module(categories, x)

        return Called(model, call), normal(N_COLUMNS)

    return Entry("tab-transformer-pytorch", name, build)


def _tabnet():
    from pytorch_tabnet.tab_network import TabNet

    model = TabNet(N_COLUMNS, 3, group_attention_matrix=torch.eye(N_COLUMNS))
    return Called(model, lambda m, x: m(x)[0]), normal(N_COLUMNS)


TABLES = [
    plain(
        "rtdl",
        "rtdl_revisiting_models",
        "MLP",
        (N_COLUMNS,),
        d_in=N_COLUMNS,
        d_out=3,
        n_blocks=2,
        d_block=12,
        dropout=0.1,
    ),
    plain(
        "rtdl",
        "rtdl_revisiting_models",
        "ResNet",
        (N_COLUMNS,),
        d_in=N_COLUMNS,
        d_out=3,
        n_blocks=2,
        d_block=12,
        d_hidden_multiplier=1.5,
        dropout1=0.1,
        dropout2=0.1,
    ),
    Entry("rtdl", "FTTransformer", _ft),
    _embedded("LinearEmbeddings", n_features=N_COLUMNS, d_embedding=6),
    _embedded("LinearReLUEmbeddings", n_features=N_COLUMNS, d_embedding=6),
    _embedded(
        "PeriodicEmbeddings",
        n_features=N_COLUMNS,
        d_embedding=6,
        lite=False,
        frequency_init_scale=0.5,
    ),
    _embedded(
        "PiecewiseLinearEmbeddings",
        bins=_bins(),
        d_embedding=6,
        activation=False,
        version="B",
    ),
    _tabm("TabM", start_scaling_init="random-signs"),
    _tabm("TabM, mini", arch_type="tabm-mini", start_scaling_init="random-signs"),
    _tabm("TabM, packed", arch_type="tabm-packed", start_scaling_init=None),
    _tab_transformer("FTTransformer"),
    _tab_transformer("TabTransformer", mlp_act=torch.nn.ReLU()),
    Entry("pytorch-tabnet", "TabNet", _tabnet),
]


def x_transformer(label, decoder=False, **options):
    """Return an entry of x-transformers over continuous values."""

    def build():
        import x_transformers as xt

        layers = (xt.Decoder if decoder else xt.Encoder)(
            **{"dim": 24, "depth": 2, "heads": 2, "attn_dim_head": 12, **options}
        )
        model = xt.ContinuousTransformerWrapper(
            dim_in=5, dim_out=3, max_seq_len=16, attn_layers=layers
        )
        return model, normal(7, 5)

    return Entry("x-transformers", label, build)


def _pictures():
    import x_transformers as xt

    layers = xt.Encoder(dim=24, depth=2, heads=2, attn_dim_head=12)
    model = xt.ViTransformerWrapper(
        image_size=32, patch_size=8, num_classes=4, attn_layers=layers
    )
    return model, normal(3, 32, 32)


X_TRANSFORMERS = [
    x_transformer("encoder"),
    x_transformer("decoder", True),
    x_transformer("rotary", True, rotary_pos_emb=True),
    x_transformer("alibi", True, alibi_pos_bias=True, alibi_num_heads=2),
    x_transformer("T5 relative position", rel_pos_bias=True),
    x_transformer("dynamic position", dynamic_pos_bias=True),
    x_transformer("GLU, Swish", ff_glu=True, ff_swish=True),
    x_transformer("ReLU squared", ff_relu_squared=True),
    x_transformer("RMSNorm", use_rmsnorm=True),
    x_transformer("simple RMSNorm", use_simple_rmsnorm=True),
    x_transformer("scale norm", use_scalenorm=True),
    x_transformer("post-norm", pre_norm=False),
    x_transformer("sandwich norm", sandwich_norm=True),
    x_transformer("qk norm", attn_qk_norm=True),
    x_transformer(
        "talking heads", attn_pre_talking_heads=True, attn_post_talking_heads=True
    ),
    x_transformer("flash", attn_flash=True),
    x_transformer("sparse top-k", attn_sparse_topk=3),
    x_transformer("one key and value head", attn_one_kv_head=True),
    x_transformer("gated residual", gate_residual=True),
    x_transformer("gated values", attn_gate_values=True),
    x_transformer("shifted tokens", True, shift_tokens=1),
    x_transformer("macaron", macaron=True),
    Entry("x-transformers", "ViTransformerWrapper", _pictures),
]


def _wired(name):
    def build():
        import ncps.torch

        net = getattr(ncps.torch, name)(5, 8)
        return Called(net, lambda m, x: m(x)[0]), normal(6, 5)

    return Entry("ncps", name, build)


def _mambapy():
    from mambapy.mamba import Mamba, MambaConfig

    return Mamba(MambaConfig(d_model=12, n_layers=2, d_state=4)), normal(8, 12)


def _perceiver_io():
    from perceiver_pytorch import PerceiverIO

    model = PerceiverIO(
        depth=1,
        dim=8,
        queries_dim=6,
        logits_dim=3,
        num_latents=4,
        latent_dim=12,
        cross_heads=1,
        latent_heads=2,
        cross_dim_head=6,
        latent_dim_head=6,
    )
    queries = torch.randn(2, 6)
    return Called(model, lambda m, x: m(x, queries=queries.to(x.dtype))), normal(9, 8)


SEQUENCES = [
    plain(
        "perceiver-pytorch",
        "perceiver_pytorch",
        "Perceiver",
        (6, 6, 3),
        num_freq_bands=2,
        depth=1,
        max_freq=4.0,
        num_latents=4,
        latent_dim=12,
        latent_heads=2,
        cross_dim_head=6,
        latent_dim_head=6,
        num_classes=3,
    ),
    Entry("perceiver-pytorch", "PerceiverIO", _perceiver_io),
    plain(
        "g-mlp-pytorch", "g_mlp_pytorch", "gMLP", (8, 12), dim=12, depth=2, seq_len=8
    ),
    plain(
        "linformer",
        "linformer",
        "Linformer",
        (8, 12),
        dim=12,
        seq_len=8,
        depth=2,
        k=4,
        heads=2,
    ),
    plain(
        "performer-pytorch",
        "performer_pytorch",
        "Performer",
        (8, 12),
        dim=12,
        depth=2,
        heads=2,
        dim_head=6,
    ),
    plain(
        "nystrom-attention",
        "nystrom_attention",
        "Nystromformer",
        (8, 12),
        dim=12,
        depth=1,
        dim_head=6,
        heads=2,
        num_landmarks=4,
    ),
    plain(
        "conformer",
        "conformer",
        "Conformer",
        (8, 12),
        dim=12,
        depth=1,
        dim_head=6,
        heads=2,
        conv_kernel_size=5,
    ),
    plain(
        "local-attention",
        "local_attention",
        "LocalMHA",
        (8, 12),
        dim=12,
        window_size=4,
        dim_head=6,
        heads=2,
        causal=True,
    ),
    Entry("mambapy", "Mamba", _mambapy),
    _wired("CfC"),
    _wired("LTC"),
]
ENTRIES = [*TABLES, *X_TRANSFORMERS, *SEQUENCES]
