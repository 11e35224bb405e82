"""The plainest way to compute the networks, to time ours against: as one writes the formulas down at first.

:func:`plainly` puts these in the place of what ours does in another way for speed. All else in the networks is
PyTorch's layers, and the same in both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gasp.networks.esr9
import gasp.networks.gasp
import gasp.networks.stavis
import gasp.networks.tased
import gasp.networks.unisal
from gasp.networks.blocks import attentive_lstm, gmu
from gasp.networks.gasp import GASPOutput


def gasp_forward(self: Any, modules: Tensor) -> GASPOutput:
    """Frame by frame, and modality by modality."""
    if not self.variant.sequence:
        fused, gates = self._run(self._window_stages, _encode(self, modules))
        dam_logits = self.dam.logits(modules) if self.variant.scaling == "dam" else None
        return GASPOutput(self.saliency_out(fused), dam_logits, gates)
    frames, dams, gates = [], [], None
    for frame in modules.unbind(1):
        if self.variant.scaling == "dam":
            dams.append(self.dam.logits(frame))
        features, gates = self._run(self._frame_stages, _encode(self, frame))
        frames.append(features)
    fused, later_gates = self._run(self._window_stages, torch.stack(frames, 1))
    return GASPOutput(self.saliency_out(fused), torch.stack(dams, 1) if dams else None, later_gates or gates)


def _encode(self: Any, frame: Tensor) -> Tensor:
    if self.variant.scaling:
        frame = (self.dam if self.variant.scaling == "dam" else self.se)(frame)
    if not self.encoded:
        return frame
    encoders = self.enc_list if self.variant.sequence else [self.enc] * self.modalities
    pictures = frame.chunk(self.modalities, 1)
    return torch.cat([encoder(picture) for encoder, picture in zip(encoders, pictures, strict=True)], 1)


def attend(self: Any, x: Tensor) -> Tensor:
    """Attentive ConvLSTM: every convolution by itself, in every step."""
    if isinstance(self, attentive_lstm.SequenceAttentiveLSTM):
        x = x if self.sequence_norm is None else self.sequence_norm(x)
        steps: Sequence[Tensor] = x.unbind(1)
    else:
        steps = [x] * self.steps
    hidden = cell = steps[0]
    for frame in steps:
        energy = self.V_a(torch.tanh(self.W_a(hidden) + self.U_a(frame)))
        seen = torch.softmax(energy, -1) * frame
        keep_input = torch.sigmoid(self.W_i(seen) + self.U_i(hidden))
        keep_cell = torch.sigmoid(self.W_f(seen) + self.U_f(hidden))
        show = torch.sigmoid(self.W_o(seen) + self.U_o(hidden))
        candidate = torch.tanh(self.W_c(seen) + self.U_c(hidden))
        cell = keep_input * candidate + keep_cell * cell
        hidden = torch.tanh(cell) * show
    return hidden


def recur(self: Any, x: Tensor) -> tuple[Tensor, gmu.Gates]:
    """Recurrent gated unit, step by step."""
    return self.run([self.drive(frame) for frame in x.unbind(1)])  # type: ignore[no-any-return]


def backpropagated_gradcam(self: Any, maps: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM by a backward pass."""
    with torch.inference_mode(False), torch.enable_grad():
        maps = maps.clone().requires_grad_()
        weight, bias = self.fc.weight.clone(), self.fc.bias.clone()
        logits = F.linear(maps.mean((2, 3)), weight, bias)
        logits.gather(1, classes.clone()[:, None]).sum().backward()
    assert maps.grad is not None
    cam = (maps.grad.mean((2, 3), keepdim=True) * maps.detach()).sum(1)
    return cam - cam.amin((1, 2), keepdim=True)


def hear(self: Any, visual: Tensor, audio: Tensor) -> Tensor:
    """STAViS's bilinear form at every place."""
    middle = visual.shape[2] // 2
    places = visual[:, :, middle - 1 : middle + 1].mean(2).permute(0, 2, 3, 1)
    seen = F.relu(self.affine_rgb(places))
    heard = F.relu(self.affine_audio(audio))[:, None, None].expand(*seen.shape[:3], -1)
    match = self.w_a_rgb(seen.contiguous(), heard.contiguous()).permute(0, 3, 1, 2)
    return F.interpolate(match, scale_factor=8, mode="bilinear", align_corners=False)


def enlarge_then_smooth(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """UNISAL's smoothing on the large map."""
    large = F.interpolate(x, scale_factor=factor, mode="nearest")
    return F.conv2d(F.pad(large, [kernel.shape[-1] // 2] * 4, mode="replicate"), kernel)


def frame_by_frame(gate_inputs: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """UNISAL's recurrence, with the frames' share computed when its step comes."""

    def plain(self: Any, coarse: Tensor, source: str | None = None) -> Tensor:
        return torch.cat([gate_inputs(self, frame, source) for frame in coarse.split(1)])

    return plain


def scatter_anywhere(values: Tensor, indices: Tensor, size: tuple[int, ...]) -> Tensor:
    """TASED-Net's unpooling as PyTorch has it: where windows overlap, any of the values may stay."""
    whole = F.max_unpool2d(values.flatten(1, -3), indices.flatten(1, -3), 2, output_size=size)
    return whole.unflatten(1, values.shape[1:-2])


@contextmanager
def plainly() -> Iterator[None]:
    """Networks that are called meanwhile compute the plainest way, also with memory in its usual order."""
    usual = Tensor.contiguous
    replaced: list[tuple[Any, str, Any]] = [
        (Tensor, "contiguous", lambda self, memory_format=None: usual(self)),
        (gasp.networks.gasp.GASP, "forward", gasp_forward),
        (attentive_lstm.AttentiveLSTM, "forward", attend),
        (attentive_lstm.SequenceAttentiveLSTM, "forward", attend),
        (gmu.RGMUConv2d, "forward", recur),
        (gasp.networks.esr9._Branch, "_gradcam", backpropagated_gradcam),
        (gasp.networks.stavis._AudioFusion, "forward", hear),
        (gasp.networks.unisal, "enlarge_and_smooth", enlarge_then_smooth),
        (gasp.networks.unisal.UNISAL, "gate_inputs", frame_by_frame(gasp.networks.unisal.UNISAL.gate_inputs)),
        (gasp.networks.tased, "max_unpool", scatter_anywhere),
    ]
    modules = [module for name, module in sys.modules.items() if name.startswith("gasp.networks")]
    replaced += [(module, "max_pool3d", F.max_pool3d) for module in modules if hasattr(module, "max_pool3d")]
    with ExitStack() as stack:
        for owner, name, plain in replaced:
            stack.enter_context(patch.object(owner, name, plain))
        yield


def differs(model: nn.Module) -> bool:
    """Whether anything in a network is computed in another way than the plainest."""
    return type(model).__name__ not in ("Gaze360", "Glance", "S3FD", "VideoGaze")
