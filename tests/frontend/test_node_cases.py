"""The operator cases that ONNX generates: each carried with the right answer, or refused."""

from __future__ import annotations

import pytest

from tests.frontend.node_cases import Form, cases, mistakes, survey, tally

MODULES = (
    *("add", "argmax", "averagepool", "batchnorm", "concat", "conv", "dequantizelinear", "flatten", "gather"),
    *("gemm", "globalaveragepool", "if", "lstm", "matmul", "matmulinteger", "maxpool", "prelu", "qlinearconv"),
    *("qlinearmatmul", "quantizelinear", "reducemean", "reshape", "resize", "slice", "softmax", "split", "squeeze"),
    *("sum", "topk", "transpose", "where"),
)
# One case of each group of operators, their unusual attributes among them.
SAMPLE = (
    *("test_add", "test_argmax_negative_axis_keepdims_example", "test_averagepool_2d_pads_count_include_pad"),
    *("test_averagepool_2d_ceil", "test_averagepool_2d_same_lower", "test_basic_conv_with_padding"),
    *("test_batchnorm_epsilon", "test_concat_3d_axis_2", "test_conv_with_autopad_same"),
    *("test_dequantizelinear_axis", "test_dequantizelinear_int4", "test_flatten_axis1", "test_gather_negative_indices"),
    *("test_gemm_all_attributes", "test_gemm_alpha", "test_gemm_transposeB", "test_globalaveragepool", "test_if"),
    *(
        "test_lstm_defaults",
        "test_matmul_4d",
        "test_matmulinteger",
        "test_maxpool_2d_ceil",
        "test_maxpool_2d_dilations",
    ),
    *("test_maxpool_2d_pads", "test_prelu_broadcast", "test_qlinearconv", "test_qlinearmatmul_2D_uint8_float32"),
    *("test_quantizelinear", "test_quantizelinear_int16", "test_reduce_mean_keepdims_random", "test_reshape_zero_dim"),
    *(
        "test_resize_upsample_scales_nearest",
        "test_slice_negative_axes",
        "test_softmax_axis_1",
        "test_split_equal_parts_2d",
    ),
    *(
        "test_squeeze_negative_axes",
        "test_sum_example",
        "test_top_k",
        "test_transpose_all_permutations_1",
        "test_where_example",
    ),
)


def test_a_sample() -> None:
    chosen = [case for case in cases(*MODULES) if case.name in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    results = list(survey(chosen))
    assert mistakes(results) == []
    carried = {case.name for case, _, found in results if found.kind == "carried"}
    assert carried >= {
        *("test_add", "test_averagepool_2d_pads_count_include_pad", "test_basic_conv_with_padding", "test_gemm_alpha"),
        *("test_batchnorm_epsilon", "test_gemm_transposeB", "test_globalaveragepool", "test_matmulinteger"),
        *("test_qlinearmatmul_2D_uint8_float32", "test_squeeze_negative_axes", "test_transpose_all_permutations_1"),
    }
    assert all(found.text for _, _, found in results)


@pytest.mark.slow
def test_every_case() -> None:
    results = list(survey(cases()))
    print(tally(results))
    assert mistakes(results) == []
    assert {case.name for case, form, _ in results if form is Form.AS_IS} == {case.name for case in cases()}
