import pytest
import torch
from torch import nn

from fpgaflow.training.models import Bits, fold_batch_norm, lenet5, sequential

BITS = Bits(weight=4, activation=4, input=8)


def with_statistics(model: nn.Module) -> nn.Module:
    """Batch norms as training leaves them: no mean is 0 and no variance 1."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 2.0, generator=generator)
    return model.eval()


@pytest.mark.parametrize("bits", [None, BITS])
def test_lenet5_is_lecuns(bits):
    model = lenet5(bits, norm=False).eval()
    parameters = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert parameters == {
        "conv1.weight": 150,
        "conv1.bias": 6,
        "conv2.weight": 2400,
        "conv2.bias": 16,
        "fc1.weight": 48000,
        "fc1.bias": 120,
        "fc2.weight": 10080,
        "fc2.bias": 84,
        "fc3.weight": 840,
        "fc3.bias": 10,
    }
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_sequential_leaves_out_what_is_none():
    assert [name for name, _ in sequential(a=nn.ReLU(), b=None, c=nn.Flatten()).named_children()] == ["a", "c"]


def test_folding_keeps_the_function():
    model = with_statistics(lenet5(None, norm=True))
    folded = lenet5(None, norm=False).eval()
    folded.load_state_dict(fold_batch_norm(model))
    x = torch.rand(8, 1, 32, 32, dtype=torch.float64)
    # Each folded parameter is rounded to float32 once; the comparison itself runs in float64.
    assert torch.allclose(folded.double()(x), model.double()(x), rtol=1e-5, atol=1e-6)


def test_folding_reaches_nested_blocks():
    model = with_statistics(sequential(block=sequential(conv=nn.Conv2d(1, 2, 1), norm=nn.BatchNorm2d(2))))
    state = fold_batch_norm(model)
    assert set(state) == {"block.conv.weight", "block.conv.bias"}
    conv, norm = model.block.conv, model.block.norm
    gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    assert torch.equal(state["block.conv.weight"], (conv.weight.double() * gain.view(2, 1, 1, 1)).float())


@pytest.mark.parametrize("bits", [(1, 4, 8), (9, 4, 8), (4, 1, 8), (4, 4, 16)])
def test_bits_out_of_range(bits):
    with pytest.raises(ValueError, match="out of range"):
        Bits(*bits)
