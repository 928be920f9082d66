"""The operations that are declared, by kind: plain data, read by every method."""

from __future__ import annotations

import torch

from sktrim.propagation.registry import declare, register_operation

# "folds": takes relevant parts that are not multiplied out (see first_linear)
declare(
    "shape",
    "view reshape flatten unflatten ravel view_as reshape_as",
    folds=True,
)
declare(
    "shape",
    """contiguous repeat_interleave clone detach data alias to type type_as float
    double half bfloat16 cpu cuda positive dropout dropout1d dropout2d dropout3d
    alpha_dropout feature_dropout feature_alpha_dropout native_channel_shuffle
    channel_shuffle pixel_shuffle pixel_unshuffle roll flip fliplr flipud rot90
    index_select gather take_along_dim take""",
)
# "fills": brings in values of its own
declare("shape", "tril triu diag_embed", fills=True)
# views whose output axes are a rearrangement of the input's
declare(
    "shape",
    """permute transpose t T mT H mH adjoint movedim squeeze unsqueeze select narrow
    __getitem__ diagonal chunk split split_with_sizes tensor_split hsplit vsplit dsplit
    unbind unsafe_chunk unsafe_split""",
    view=True,
    folds=True,
)
declare("shape", "expand expand_as broadcast_to tile repeat", leads=True)
declare("shape", "as_strided")
declare("shape", "cat", joins=True)
declare("shape", "stack", joins=True, new_axis=True)
declare("shape", "hstack vstack dstack", joins=True)
declare("shape", "where masked_fill index_fill pad", joins=True)
declare("shape", "__setitem__ zero fill copy", fills=True)
declare("shape", "real imag view_as_real view_as_complex conj resolve_conj resolve_neg")
declare("shape", "complex", joins=True)

declare("affine", "linear conv1d conv2d conv3d", folds=True)
declare("affine", "conv_transpose1d conv_transpose2d conv_transpose3d", folds=True)
declare("affine", "batch_norm add sub neg")
declare(
    "affine",
    """fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft
    fft_rfft2 fft_irfft2 fft_rfftn fft_irfftn fft_hfft fft_ihfft fft_hfft2 fft_ihfft2
    fft_hfftn fft_ihfftn stft istft unfold fold cumsum diff interpolate
    grid_sample""",
)
declare(
    "average",
    """mean sum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
    adaptive_avg_pool2d adaptive_avg_pool3d nansum nanmean""",
)

# phi(0) = 0 and piecewise linear: phi(rel) alone gives f on the full mask, 0 on none
declare("elementwise", "relu leaky_relu prelu relu6", rectifier=True)
# "weighs": of a low number it is 0, as softmax is
declare("elementwise", "exp exp2 sigmoid", weighs=True)
declare(
    "elementwise",
    """elu selu celu gelu silu mish tanh softplus logsigmoid softsign
    hardswish hardsigmoid hardtanh hardshrink softshrink tanhshrink threshold rrelu
    clamp clamp_min clamp_max abs expm1 erf sin cos tan atan sinh cosh asinh
    sinc square""",
)
# singular or undefined at 0: the whole value is shared, there is no phi(rel)
declare(
    "elementwise",
    "reciprocal rsqrt sqrt log log2 log10 log1p logit acos asin atanh erfinv",
    singular=True,
)
declare("elementwise", "pow")

declare(
    "select",
    """max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d""",
    pool=True,
)
declare("select", "max min amax amin maximum minimum fmax fmin")

declare("bilinear", "mul matmul mm bmm mv dot inner outer einsum tensordot bilinear")
declare("bilinear", "div")
declare("normalise", "softmax log_softmax softmin")

declare(
    "query",
    """shape size dim ndim ndimension numel nelement dtype device layout is_cuda
    is_cpu is_mps is_xpu is_meta is_sparse is_sparse_csr is_quantized is_nested
    is_mkldnn is_vulkan is_ipu is_xla is_mtia is_maia is_ort is_leaf requires_grad
    retains_grad grad_fn grad output_nr name names itemsize nbytes
    element_size stride storage_offset
    is_contiguous is_complex is_conj is_neg is_floating_point is_signed is_inference
    is_nonzero is_same_size is_shared is_pinned is_coalesced data_ptr get_device
    __len__ __format__ __bool__ __int__ __float__ __complex__ __index__ __contains__
    item tolist
    eq ne lt le gt ge greater greater_equal less less_equal not_equal equal allclose
    isclose isnan isinf isfinite isposinf isneginf isreal signbit sign sgn all any
    argmax argmin argsort count_nonzero nonzero argwhere bincount
    __eq__ __ne__ __lt__ __le__ __gt__ __ge__ logical_and logical_or logical_not
    logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not
    zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full
    new_tensor new_empty_strided result_type can_cast has_names sparse_dim
    dense_dim is_distributed dim_order _is_view _version _nested_tensor_size
    _nested_tensor_from_mask_left_aligned""",
)

declare("shape", "constant_pad_nd", joins=True)
# "writes": into a copy of the first argument
declare(
    "shape",
    """masked_scatter scatter scatter_add index_add index_copy index_put slice_scatter
    select_scatter diagonal_scatter""",
    joins=True,
    writes=True,
)
declare("affine", "convolution conv_tbc trapz trapezoid trace deg2rad rad2deg")
declare("elementwise", "nan_to_num erfc floor ceil round trunc fix frac")
declare("select", "topk sort kthvalue median mode cummax cummin", indexed=True)
declare("bilinear", "kron linalg_vecdot linalg_cross cross vdot")
declare("normalise", "layer_norm rms_norm group_norm instance_norm normalize")
declare("normalise", "logsumexp norm linalg_norm linalg_vector_norm var std")
declare("recurrent", "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell")
declare("recurrent", "rnn_tanh_cell rnn_relu_cell")
declare("composite", "addmm baddbmm addmv addr addcmul addcdiv lerp glu")
declare("composite", "broadcast_tensors column_stack embedding one_hot")
declare("composite", "local_response_norm cosine_similarity")
declare("composite", "lp_pool1d lp_pool2d lp_pool3d")
declare("composite", "scaled_dot_product_attention multi_head_attention_forward")

# a view, unlike the function of that name
register_operation(torch.Tensor.unfold, "shape")
