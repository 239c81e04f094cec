from __future__ import annotations

import pytest
import torch
from torch import nn

from renalseg.networks import Ensemble, ResUNet


def ensemble(activation: str, channels: int = 2) -> Ensemble:
    torch.manual_seed(0)
    joined = Ensemble(nn.Conv3d(1, channels, 1), 3, activation)
    for member in joined.members:
        nn.init.normal_(member.weight, std=3.0)
    return joined.eval()


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_its_probability_is_the_mean_of_the_members(activation: str) -> None:
    joined = ensemble(activation)
    x = torch.randn(2, 1, 3, 4, 5)
    activate = torch.sigmoid if activation == "sigmoid" else lambda y: y.softmax(dim=1)
    each = torch.stack([activate(member(x)) for member in joined.members])
    torch.testing.assert_close(activate(joined(x)), each.mean(dim=0))


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_of_equal_members_it_is_one_of_them(activation: str) -> None:
    joined = ensemble(activation)
    for member in joined.members:
        member.load_state_dict(joined.members[0].state_dict())
    x = 8 * torch.randn(1, 1, 4, 4, 4)
    logits, one = joined(x), joined.members[0](x)
    if activation == "softmax":
        one = one.log_softmax(dim=1)
    torch.testing.assert_close(logits, one)


def test_logits_stay_finite_where_all_are_sure() -> None:
    joined = ensemble("sigmoid", channels=1)
    for member in joined.members:
        nn.init.constant_(member.weight, 1.0)
        nn.init.zeros_(member.bias)
    x = torch.tensor([-1000.0, -30.0, 0.0, 30.0, 1000.0]).reshape(1, 1, 5, 1, 1)
    torch.testing.assert_close(joined(x), x)


def test_members_do_not_share_weights() -> None:
    joined = ensemble("softmax")
    assert len({id(weight) for weight in joined.parameters()}) == 6


def test_networks_that_give_lists_in_training_are_members_too() -> None:
    joined = Ensemble(ResUNet(1, 1, width=2), 2, "sigmoid").eval()
    x = torch.randn(1, 1, 16, 16, 8)
    assert joined(x).shape == x.shape
    scripted = torch.jit.script(joined)
    torch.testing.assert_close(scripted(x), joined(x))


@pytest.mark.parametrize(("count", "activation"), [(0, "sigmoid"), (2, "relu")])
def test_another_activation_or_no_member_is_refused(count: int, activation: str) -> None:
    with pytest.raises(ValueError, match="sigmoid or softmax"):
        Ensemble(nn.Conv3d(1, 1, 1), count, activation)
