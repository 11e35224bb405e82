"""UNISAL: unified image and video saliency.

Source: Droste, Jiao and Noble, "Unified Image and Video Saliency Modeling", ECCV 2020.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gasp.errors import InputError, UsageError
from gasp.networks.blocks.mobilenet import InvertedResidual, MobileNetV2
from gasp.networks.blocks.shapes import require_multiple, require_shape

DOMAINS = ("DHF1K", "Hollywood", "UCFSports", "SALICON")
"""What the training pictures come from; SALICON are still images, the others videos."""

CHANNELS = 256
PRIORS = 16
SMOOTHING = 41
OUTPUT_STRIDE = 8
"""Pixels of the input per cell of the map before it is smoothed."""


class UNISALOutput(NamedTuple):
    """``log_maps`` (N, T, 1, *target_size): log-probabilities; the exponentials of a map sum to 1.

    ``hidden`` (N, 256, H/32, W/32): recurrent state after the last frame, None for still images.
    """

    log_maps: Tensor
    hidden: Tensor | None


class FrameFeatures(NamedTuple):
    """What depends on one frame only, for B frames of H x W pixels.

    ``coarse`` (B, 256, H/32, W/32), ``middle`` (B, 128, H/16, W/16), ``fine`` (B, 64, H/8, W/8).
    """

    coarse: Tensor
    middle: Tensor
    fine: Tensor


class UNISAL(nn.Module):
    """MobileNetV2 per frame, learned Gaussian priors, a convolutional GRU and a light decoder.

    Call: ``(video, hidden=None)``. ``video`` (N, T, 3, H, W), time before channels: RGB normalised with
    ImageNet's mean and standard deviation; H and W multiples of 32. ``hidden`` is the state that an earlier
    call returned; a sequence gives the same in one call as in several.

    Options, all of which a call may override: ``source``, the domain whose normalisation, priors and output
    layers are used (DHF1K, Hollywood, UCFSports or SALICON); ``target_size``, (height, width) of the maps
    (None: that of the input); ``static``, whether frames are still images on their own (None: a single frame
    without a state is).

    A window can also be run frame by frame: ``f = encode(frame)``, ``g = gate_inputs(f.coarse)``,
    ``hidden = step(g, hidden)``, ``decode(f, hidden, size)``. The first two depend on one frame only.
    """

    ignored_options = frozenset({"cut"})
    """Where a published case splits its input over two calls; no option: any split gives the same."""

    def __init__(
        self,
        *,
        source: str = "DHF1K",
        target_size: tuple[int, int] | list[int] | None = None,
        static: bool | None = None,
    ) -> None:
        super().__init__()
        self.source = _checked_domain(source)
        self.target_size = _checked_size(target_size)
        self.static = static
        for domain in DOMAINS:
            means = torch.rand(PRIORS, 2)
            log_std = torch.full((PRIORS, 2), -1.0)
            self.register_parameter(
                f"coarse_gaussians_{domain.lower()}", nn.Parameter(torch.stack([means, log_std], 2))
            )
        self.cnn = MobileNetV2()
        self.post_cnn = _Wrapped(InvertedResidual(1280 + PRIORS, CHANNELS, expansion=1))
        self.rnn = _GRU()
        self.post_rnn = _DomainSequential(
            nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False), _DomainNorm(CHANNELS), nn.ReLU6(inplace=True)
        )
        self.skip_2x = _Skip(160, 320, 128)
        self.upsampling_2 = _Wrapped(_DomainInvertedResidual(CHANNELS + 128, 128))
        self.skip_4x = _Skip(64, 128, 64)
        self.post_upsampling_2 = _Wrapped(_DomainInvertedResidual(128 + 64, 64))
        for domain in DOMAINS:
            self.add_module(f"adaptation_{domain.lower()}", nn.Sequential(nn.Conv2d(64, 1, 1)))
            self.add_module(f"smoothing_{domain.lower()}", nn.Conv2d(1, 1, SMOOTHING, bias=False))

    def forward(
        self,
        video: Tensor,
        hidden: Tensor | None = None,
        *,
        source: str | None = None,
        target_size: tuple[int, int] | None = None,
        static: bool | None = None,
    ) -> UNISALOutput:
        """Log-probability maps of every frame, and the recurrent state."""
        require_shape("video", video, (None, None, 3, None, None))
        if video.shape[1] < 1:
            raise InputError("A video needs at least one frame.")
        static = self.static if static is None else static
        if static and hidden is not None:
            raise UsageError("Still images have no recurrent state: leave out hidden, or set static=False.")
        if static is None:
            static = video.shape[1] == 1 and hidden is None
        size = _checked_size(target_size) or self.target_size or tuple(video.shape[-2:])

        window = video.shape[:2]
        features = self.encode(video.flatten(0, 1), source)
        states = None
        if not static:
            gates = self.gate_inputs(features.coarse, source).unflatten(0, window)
            steps = []
            for gate in gates.unbind(1):
                hidden = self.step(gate, hidden, source)
                steps.append(hidden)
            states = torch.stack(steps, 1).flatten(0, 1)
        log_maps = self.decode(features, states, size, source)
        return UNISALOutput(log_maps.unflatten(0, window), hidden)

    def encode(self, frames: Tensor, source: str | None = None) -> FrameFeatures:
        """Features of frames (B, 3, H, W)."""
        require_shape("frames", frames, (None, 3, None, None))
        require_multiple(frames, 32)
        domain = self._domain(source)
        feat4, feat2, last = self.cnn(frames)
        priors = self._priors(last, domain)
        coarse = self.post_cnn(torch.cat([last, priors], 1))
        return FrameFeatures(coarse, self.skip_2x(feat2, domain), self.skip_4x(feat4, domain))

    def gate_inputs(self, coarse: Tensor, source: str | None = None) -> Tensor:
        """The frames' share in the GRU's gates: (B, 256, h, w) to (B, 768, h, w)."""
        return self.rnn.cell.inputs(coarse, self._domain(source))

    def step(self, gate_inputs: Tensor, hidden: Tensor | None = None, source: str | None = None) -> Tensor:
        """The recurrent state (N, 256, h, w) after one more frame; None is the state before the first."""
        if hidden is None:
            hidden = torch.zeros_like(gate_inputs[:, :CHANNELS])
        require_shape("hidden", hidden, (gate_inputs.shape[0], CHANNELS, *gate_inputs.shape[2:]))
        state: Tensor = self.rnn.cell(gate_inputs, hidden, self._domain(source))
        return state

    def decode(
        self,
        features: FrameFeatures,
        hidden: Tensor | None,
        target_size: tuple[int, ...],
        source: str | None = None,
    ) -> Tensor:
        """Log-probability maps (B, 1, *target_size) of frames and their states (None for still images)."""
        domain = self._domain(source)
        x = features.coarse
        if hidden is not None:
            x = x + self.post_rnn(hidden, domain)
        x = torch.cat([_double(x), features.middle], 1)
        x = _double(self.upsampling_2(x, domain))
        x = self.post_upsampling_2(torch.cat([x, features.fine], 1), domain)
        x = self.get_submodule(f"adaptation_{domain.lower()}")(x)
        weight = self.get_submodule(f"smoothing_{domain.lower()}").weight
        assert isinstance(weight, Tensor)
        x = enlarge_and_smooth(x, weight, OUTPUT_STRIDE)
        if x.shape[-2:] != target_size:
            x = F.interpolate(x, size=target_size, mode="bilinear", align_corners=False)
        return x.flatten(1).log_softmax(1).view_as(x)

    def _domain(self, source: str | None) -> str:
        return self.source if source is None else _checked_domain(source)

    def _priors(self, like: Tensor, domain: str) -> Tensor:
        """The domain's Gaussians on the grid of features (B, C, h, w): (B, 16, h, w)."""
        height, width = like.shape[-2:]
        gaussians = self.get_parameter(f"coarse_gaussians_{domain.lower()}")
        (mean_y, mean_x), (log_std_y, log_std_x) = gaussians.permute(2, 1, 0)[..., None]
        y = torch.linspace(0, 1, height, device=like.device, dtype=like.dtype)
        x = torch.linspace(0, 1, width, device=like.device, dtype=like.dtype)
        rows = torch.exp(-(((y - mean_y) / log_std_y.exp()) ** 2) / 2)
        columns = torch.exp(-(((x - mean_x) / log_std_x.exp()) ** 2) / 2)
        maps = 6 * rows[:, :, None] * columns[:, None, :]
        return maps.expand(like.shape[0], -1, -1, -1)


def enlarge_and_smooth(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """Enlarge (B, 1, h, w) by repeating values, then convolve with ``kernel`` (1, 1, K, K), K odd.

    Borders are continued with their values. All pixels of a cell see the same few cells, each with a sum of
    kernel values: so this convolves the small map with one kernel of sums per pixel of a cell, which is many
    times less work than to convolve the large one.
    """
    size = kernel.shape[-1]
    reach = -(-(size // 2) // factor)  # cells that a pixel sees on each side
    pixel = torch.arange(factor, device=x.device)[:, None, None]
    cell = torch.arange(-reach, reach + 1, device=x.device)[:, None]
    offset = torch.arange(size, device=x.device) - size // 2
    member = (torch.div(pixel + offset, factor, rounding_mode="floor") == cell).to(kernel.dtype)
    sums = torch.einsum("ack,bdl,kl->abcd", member, member, kernel[0, 0]).flatten(0, 1)[:, None]
    padded = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    return F.pixel_shuffle(F.conv2d(padded, sums), factor)


class _Wrapped(nn.Module):
    """A module under the name it has in the checkpoint."""

    def __init__(self, inv_res: nn.Module) -> None:
        super().__init__()
        self.inv_res = inv_res

    def forward(self, *inputs: Any) -> Tensor:
        features: Tensor = self.inv_res(*inputs)
        return features


class _DomainNorm(nn.Module):
    """A batch normalisation per domain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for domain in DOMAINS:
            self.add_module(f"bn_{domain}", nn.BatchNorm2d(channels))

    def forward(self, x: Tensor, domain: str) -> Tensor:
        normalised: Tensor = self.get_submodule(f"bn_{domain}")(x)
        return normalised


class _DomainSequential(nn.ModuleList):
    """Layers one after the other, of which those with a domain are told it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(layers)

    def forward(self, x: Tensor, domain: str) -> Tensor:
        for layer in self:
            x = layer(x, domain) if isinstance(layer, _DomainNorm) else layer(x)
        return x


class _DomainInvertedResidual(nn.Module):
    """Inverted residual with expansion 2 and normalisation per domain, without the residual."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = 2 * inputs
        self.conv = _DomainSequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            _DomainNorm(width),
            nn.ReLU6(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            _DomainNorm(width),
            nn.ReLU6(inplace=True),
            nn.Conv2d(width, outputs, 1, bias=False),
            _DomainNorm(outputs),
        )

    def forward(self, x: Tensor, domain: str) -> Tensor:
        features: Tensor = self.conv(x, domain)
        return features


class _Skip(nn.Module):
    """Widens and narrows the features that go past the coarse levels."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.expansion = _DomainSequential(
            nn.Conv2d(inputs, width, 1, bias=False), _DomainNorm(width), nn.ReLU6(inplace=True)
        )
        self.reduction = _DomainSequential(nn.Conv2d(width, outputs, 1), _DomainNorm(outputs))

    def forward(self, x: Tensor, domain: str) -> Tensor:
        features: Tensor = self.reduction(self.expansion(x, domain), domain)
        return features


class _SeparableMap(nn.Module):
    """Depthwise convolution, normalisation per domain, rectification, pointwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False)
        self.sep_bn = _DomainNorm(CHANNELS)
        self.conv_sep = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)

    def forward(self, x: Tensor, domain: str) -> Tensor:
        features: Tensor = self.conv_sep(F.relu6(self.sep_bn(self.conv_dw(x), domain), inplace=True))
        return features


class _GRU(nn.Module):
    """One layer of recurrence."""

    def __init__(self) -> None:
        super().__init__()
        self.cell_list = nn.ModuleList([_GRUCell()])

    @property
    def cell(self) -> _GRUCell:
        cell = self.cell_list[0]
        assert isinstance(cell, _GRUCell)
        return cell


class _GRUCell(nn.Module):
    """Convolutional GRU with weighted, normalised separable maps."""

    def __init__(self) -> None:
        super().__init__()
        self.b_r, self.b_z, self.b_h = _vector(0), _vector(0), _vector(0)
        self.a_r_x, self.a_r_h = _vector(1), _vector(1)
        self.a_z_x, self.a_z_h = _vector(1), _vector(1)
        self.a_h_x, self.a_h_h = _vector(1), _vector(1)
        # Left over from the published training; part of the checkpoint, without influence.
        self.register_buffer("drop_mask_1", torch.ones(3, CHANNELS))
        self.norm_r_x, self.norm_r_h = _DomainNorm(CHANNELS), _DomainNorm(CHANNELS)
        self.norm_z_x, self.norm_z_h = _DomainNorm(CHANNELS), _DomainNorm(CHANNELS)
        self.norm_out_x, self.norm_out_h = _DomainNorm(CHANNELS), _DomainNorm(CHANNELS)
        self.w_r, self.u_r = _SeparableMap(), _SeparableMap()
        self.w_z, self.u_z = _SeparableMap(), _SeparableMap()
        self.w, self.u = _SeparableMap(), _SeparableMap()

    def inputs(self, x: Tensor, domain: str) -> Tensor:
        """What a frame (B, 256, h, w) adds to the reset gate, update gate and candidate: (B, 768, h, w)."""
        reset = self.a_r_x * self.norm_r_x(self.w_r(x, domain), domain) + self.b_r
        update = self.a_z_x * self.norm_z_x(self.w_z(x, domain), domain) + self.b_z
        candidate = self.a_h_x * self.norm_out_x(self.w(x, domain), domain) + self.b_h
        return torch.cat([reset, update, candidate], 1)

    def forward(self, inputs: Tensor, hidden: Tensor, domain: str) -> Tensor:
        """The next state, (B, 256, h, w)."""
        reset, update, candidate = inputs.chunk(3, 1)
        r = torch.sigmoid(reset + self.a_r_h * self.norm_r_h(self.u_r(hidden, domain), domain))
        z = torch.sigmoid(update + self.a_z_h * self.norm_z_h(self.u_z(hidden, domain), domain))
        c = torch.tanh(candidate + r * (self.a_h_h * self.norm_out_h(self.u(hidden, domain), domain)))
        return torch.lerp(hidden, c, z)


def _vector(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((CHANNELS, 1, 1), float(value)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _checked_domain(source: str) -> str:
    if source not in DOMAINS:
        raise UsageError(f"There is no domain {source!r}; valid are: {', '.join(DOMAINS)}.")
    return source


def _checked_size(size: tuple[int, int] | list[int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    if len(size) != 2 or min(size) < 1:
        raise UsageError(f"target_size must be a height and a width of at least 1, not {size!r}.")
    height, width = size
    return height, width
