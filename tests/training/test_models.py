import pytest
import torch

from fpgaflow.errors import BadInput
from fpgaflow.training.models import Architecture, ModelName
from tests.training.networks import OWN_SHAPES

# Parameters without batch norm: of MLPerf Tiny's reference models, LeCun's LeNet-5 with a full C3, and the others.
PARAMETERS = {
    ModelName.MLP: 4_389,
    ModelName.LENET5: 61_706,
    ModelName.RESNET8: 77_706,
    ModelName.DS_CNN: 22_604,
    ModelName.AUTOENCODER: 265_864,
    ModelName.VGG1D: 122_776,
}


@pytest.mark.parametrize("name", ModelName)
def test_shapes_and_parameters(name):
    shape, outputs = OWN_SHAPES[name]
    model = Architecture(name, shape, outputs).build()
    counted = sum(p.numel() for key, p in model.named_parameters() if "norm" not in key)
    assert counted == PARAMETERS[name]
    assert model(torch.rand(2, *shape)).shape == (2, outputs)


@pytest.mark.parametrize("name", ModelName)
def test_width_scales_what_lies_between_input_and_output(name):
    shape, outputs = OWN_SHAPES[name]
    half, whole = (
        sum(p.numel() for p in Architecture(name, shape, outputs, width).build().parameters()) for width in (0.5, 1)
    )
    assert half < 0.6 * whole
    assert Architecture(name, shape, outputs, 0.5).build()(torch.rand(2, *shape)).shape == (2, outputs)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (ModelName.LENET5, (16,)),
        (ModelName.LENET5, (1, 8, 8)),
        (ModelName.RESNET8, (32, 32)),
        (ModelName.DS_CNN, (490,)),
        (ModelName.AUTOENCODER, (1, 8, 8)),
        (ModelName.VGG1D, (2, 8)),
    ],
)
def test_data_that_a_model_cannot_take(name, shape):
    with pytest.raises(BadInput, match="Choose another model or other data"):
        Architecture(name, shape, 3).build()


def test_lenet_takes_other_images():
    assert Architecture(ModelName.LENET5, (3, 28, 28), 10).build()(torch.rand(2, 3, 28, 28)).shape == (2, 10)
