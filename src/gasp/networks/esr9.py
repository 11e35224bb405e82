"""ESR-9: facial expression and affect by nine branches on one base, and where in the face each looked.

Source: Siqueira, Magg and Wermter, "Efficient Facial Feature Learning with Wide Ensemble-based Convolutional
Neural Networks", AAAI 2020, section 3; Grad-CAM: Selvaraju et al., ICCV 2017.

The weights are published as ten files of bare state dicts. In the state dict of this network the names of
``Net-Base-Shared_Representations.pt`` have the prefix ``base.`` and those of ``Net-Branch_<b>.pt`` the prefix
``branches.<b - 1>.``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import UsageError
from gasp.networks.blocks.shapes import require_shape

EXPRESSIONS = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
"""Names of the expression classes, in the order of the logits."""


class ESR9Output(NamedTuple):
    """OutputSettings of B branches (published: 9) for N faces.

    ``emotions`` (N, B, 8): logits of :data:`EXPRESSIONS`. ``affect`` (N, B, 2): valence and arousal, about
    -1..1. ``gradcam`` (N, B, 6, 6): what spoke for the branch's own winning class; starts at 0, no upper
    bound, rows from the top of the face.
    """

    emotions: Tensor
    affect: Tensor
    gradcam: Tensor


class ESR9(nn.Module):
    """The ensemble; every face is treated on its own, whatever else is in the batch.

    Call: ``(faces)`` of (N, 3, 96, 96), RGB in 0..1.

    Options: ``branches``; ``batch_statistics``: whether the branches normalise with the statistics of the
    face itself, as the published pipeline does (default), or with the running statistics that they were
    trained for; a call may say otherwise. The base always uses running statistics.
    """

    def __init__(self, *, branches: int = 9, batch_statistics: bool = True) -> None:
        super().__init__()
        if not 1 <= branches <= 64:
            raise UsageError(f"branches must be at least 1 and at most 64, not {branches}.")
        self.base = _Base()
        self.branches = nn.ModuleList(_Branch() for _ in range(branches))
        self.batch_statistics = batch_statistics

    def forward(self, faces: Tensor, *, batch_statistics: bool | None = None) -> ESR9Output:
        """Expression, affect and Grad-CAM of every branch."""
        require_shape("faces", faces, (None, 3, 96, 96))
        own = self.batch_statistics if batch_statistics is None else batch_statistics
        shared = self.base(faces)
        emotions, affect, gradcam = zip(*(branch(shared, own) for branch in self.branches), strict=True)
        return ESR9Output(torch.stack(emotions, 1), torch.stack(affect, 1), torch.stack(gradcam, 1))


class _Base(nn.Module):
    """Layers shared by all branches: (N, 3, 96, 96) to (N, 128, 20, 20)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 5)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.conv3 = nn.Conv2d(128, 128, 3)
        self.conv4 = nn.Conv2d(128, 128, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.bn2 = nn.BatchNorm2d(128)
        self.bn3 = nn.BatchNorm2d(128)
        self.bn4 = nn.BatchNorm2d(128)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = F.relu(self.bn3(self.conv3(x)))
        return F.max_pool2d(F.relu(self.bn4(self.conv4(x))), 2)


class _Branch(nn.Module):
    """One member of the ensemble: shared features (N, 128, 20, 20) to logits, affect and Grad-CAM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(128, 128, 3)
        self.conv2 = nn.Conv2d(128, 256, 3)
        self.conv3 = nn.Conv2d(256, 256, 3)
        self.conv4 = nn.Conv2d(256, 512, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(128)
        self.bn2 = nn.BatchNorm2d(256)
        self.bn3 = nn.BatchNorm2d(256)
        self.bn4 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512, len(EXPRESSIONS))
        self.fc_dimensional = nn.Linear(len(EXPRESSIONS), 2)

    def forward(self, x: Tensor, batch_statistics: bool) -> tuple[Tensor, Tensor, Tensor]:
        normalise = _normalise_face if batch_statistics else _normalise
        x = F.relu(normalise(self.bn1, self.conv1(x)))
        x = F.max_pool2d(F.relu(normalise(self.bn2, self.conv2(x))), 2)
        x = F.relu(normalise(self.bn3, self.conv3(x)))
        x = F.relu(normalise(self.bn4, self.conv4(x)))
        logits = self.fc(x.mean((2, 3)))
        return logits, self.fc_dimensional(F.relu(logits)), self._gradcam(x, logits.argmax(1))

    def _gradcam(self, maps: Tensor, classes: Tensor) -> Tensor:
        """Grad-CAM of the given classes, (N, h, w), from the last maps, without a backward pass.

        Behind the maps there is only a mean and a linear layer, so the gradient of a logit with respect to
        map k is its weight over the number of cells, everywhere.
        """
        weights = self.fc.weight[classes] / maps[0, 0].numel()
        cam = torch.einsum("nk,nkhw->nhw", weights, maps)
        return cam - cam.amin((1, 2), keepdim=True)


def _normalise(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    normalised: Tensor = norm(x)
    return normalised


def _normalise_face(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    # Statistics of a batch of one face are those of the face: instance normalisation.
    return F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=norm.eps)
