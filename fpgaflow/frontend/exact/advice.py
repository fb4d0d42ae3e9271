"""What to do about an operator that is not carried: the change in Brevitas, Keras or the exporter."""

from __future__ import annotations

_LOGITS = "Leave it out: the largest logit is the largest probability"
_SIMPLER = "Build it from layers that are carried (Conv, Linear/Dense, BatchNorm, ReLU, pooling, add, concatenation)"
_NORM = "Use batch normalisation (torch BatchNorm, Keras BatchNormalization): its statistics are constants"
_CALIBRATE = "Quantise with constant scales: Brevitas' QuantIdentity, or onnxruntime's quantize_static"
_CONTROL = "Export without control flow (torch.onnx.export of a traced module), or simplify: python -m onnxsim"
_RECURRENT = (
    "Convert the Keras model with hls4ml, and give its ModelGraph to fpgaflow.Simulator: that carries LSTM and GRU"
)
_LOW_BIT_FLOAT = "Use integer quantisers (Brevitas: Int8WeightPerTensorFloat, Int8ActPerTensorFloat), not minifloats"

QUANTISE_INPUT = (
    "Quantise the input first (the first layer in Brevitas: QuantIdentity(return_quant_tensor=True), in QKeras: "
    "QActivation('quantized_bits(8, 0)')), or declare the input's type, as --input-type uint8/255 or fixed<8,1> "
    "(in Python: input_type='uint8/255')"
)
QUANTISE_BEFORE = (
    "Put an activation quantiser before this node (Brevitas: QuantIdentity or QuantReLU; QKeras: QActivation)"
)

_BY_KIND: dict[str, str] = {
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _LOGITS),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "LpNormalization", "LRN"), _NORM),
    **dict.fromkeys(("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"), _CALIBRATE),
    **dict.fromkeys(("If", "Loop", "Scan"), _CONTROL),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    "FloatQuant": _LOW_BIT_FLOAT,
    "ConvTranspose": "Use Upsample/UpSampling2D (nearest) followed by a convolution",
    "MatMulNBits": "Store the weights as an initialiser behind DequantizeLinear (onnxruntime: QuantFormat.QDQ)",
    "Im2Col": "Give the model from before FINN's LowerConvsToMatMul",
    "QuantAvgPool2d": "Give the model from before FINN's streamlining, with AveragePool and Trunc or Quant",
    "XnorPopcountMatMul": "Give the model from before FINN's ConvertBipolarMatMulToXnorPopcount",
    "MaxPoolNHWC": "Give the model from before FINN's streamlining, or use MaxPool of qonnx.custom_op.channels_last",
}
_BY_DOMAIN: tuple[tuple[str, str], ...] = (  # the beginning of a domain
    (
        "finn.custom_op.fpgadataflow",
        "It is one of FINN's hardware layers: give the QONNX model from before FINN's conversion",
    ),
    ("finn.", "Give the QONNX model from before FINN's conversion"),
    (
        "com.microsoft",
        "Quantise to the QDQ format (onnxruntime: quant_format=QuantFormat.QDQ), and save it without optimisations",
    ),
)


def advice(kind: str, domain: str, otherwise: str = _SIMPLER) -> str:
    """The change that makes a model with this operator one that can be carried."""
    if (known := _BY_KIND.get(kind)) is not None:
        return known
    return next((text for start, text in _BY_DOMAIN if domain.startswith(start)), otherwise)
