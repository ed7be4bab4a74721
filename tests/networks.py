"""Networks that are not S2M-Net, made lively, with the specifications that go with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from s2m_edge.deploy.spec import NetworkSpec, make_spec
from s2m_edge.imaging.preprocess import fit_to_network, normalise
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Made = tuple[nn.Module, NetworkSpec]


class PlainUNet(nn.Module):
    """Three levels of convolutions with skip connections. B x channels x H x W to logits B x outputs x H x W.

    H and W must be multiples of 4.
    """

    def __init__(self, channels: int = 3, outputs: int = 1, width: int = 8) -> None:
        super().__init__()

        def block(taken: int, given: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(taken, given, 3, padding=1), nn.BatchNorm2d(given), nn.ReLU())

        self.first, self.second = block(channels, width), block(width, 2 * width)
        self.third = block(2 * width, 4 * width)
        self.up_second, self.up_first = block(6 * width, 2 * width), block(3 * width, width)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        first = self.first(image)
        second = self.second(self.pool(first))
        third = self.third(self.pool(second))
        second = self.up_second(torch.cat((functional.interpolate(third, scale_factor=2.0), second), 1))
        first = self.up_first(torch.cat((functional.interpolate(second, scale_factor=2.0), first), 1))
        return self.head(first)


def plain_u_net(height: int = 96, width: int = 64) -> Made:
    """RGB, one class, mean and deviation of ImageNet."""
    spec = make_spec(
        "plain-u-net",
        height=height,
        width=width,
        classes=("polyp",),
        mean=IMAGENET_MEAN,
        standard_deviation=IMAGENET_DEVIATION,
        provenance={"domain": "polyp"},
    )
    return lively(seeded(PlainUNet), spec), spec


def trained(made: Made, *, steps: int = 80, rate: float = 5e-3, own_labels: bool = False) -> Made:
    """The network after a few steps on the bundled polyps; a few seconds.

    A random network multiplies what rounding does to it: with its biases in half precision, and nothing else, it labels
    up to half a hundredth of all pixels differently. One that has learned anything is decided nearly everywhere.

    Args:
        own_labels: whether it learns to be sure of the labels that it gives by itself, in place of the masks, from
            which a deep one soon learns that there are no polyps.
    """
    network, spec = made
    preprocessing = spec.preprocessing
    pictures, masks = [], []
    for path in sample_images("polyp"):
        pictures.append(normalise(fit_to_network(read_image(path), preprocessing), preprocessing)[0])
        masks.append(fit_to_network(read_image(sample_mask(path)), preprocessing)[None, ..., 0] >= 128)
    batch = torch.from_numpy(np.stack(pictures))
    with torch.no_grad():
        truth = (network(batch) >= 0 if own_labels else torch.from_numpy(np.stack(masks))).float()
    network.requires_grad_(True)  # in eval mode: the statistics of BatchNorm stay as they are
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(network(batch), truth).backward()
        optimizer.step()
    return network.requires_grad_(False), spec


def basic_unet(height: int = 320, width: int = 256, features: tuple[int, ...] = (32, 32, 64, 128, 256, 32)) -> Made:
    """MONAI's BasicUNet: instance normalisation, leaky ReLU, transposed convolutions. RGB, one class."""
    from monai.networks.nets import BasicUNet

    network = seeded(lambda: BasicUNet(spatial_dims=2, in_channels=3, out_channels=1, features=features))
    spec = make_spec("basic-unet", height=height, width=width, classes=("polyp",), provenance={"domain": "polyp"})
    return lively(network, spec, offset=4.0 if max(features) < 256 else 2.0), spec


def dyn_unet(height: int = 96, width: int = 64) -> Made:
    """MONAI's DynUNet, the network of nnU-Net: instance normalisation, strided and transposed convolutions."""
    from monai.networks.nets import DynUNet

    network = seeded(
        lambda: DynUNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            kernel_size=[3, 3, 3],
            strides=[1, 2, 2],
            upsample_kernel_size=[2, 2],
            filters=[8, 16, 32],
        )
    )
    spec = make_spec("dyn-unet", height=height, width=width, classes=("polyp",), provenance={"domain": "polyp"})
    return lively(network, spec, last="output_block"), spec


def seg_res_net(height: int = 256, width: int = 256, down: tuple[int, ...] = (1, 2, 2, 4)) -> Made:
    """MONAI's SegResNet: group normalisation, residual blocks. Grey, four classes with the background.

    Args:
        down: residual blocks of each level on the way down; on the way up each has one.
    """
    from monai.networks.nets import SegResNet

    up = (1,) * (len(down) - 1)
    network = seeded(lambda: SegResNet(2, 8, in_channels=1, out_channels=4, blocks_down=down, blocks_up=up))
    spec = make_spec(
        "segresnet",
        height=height,
        width=width,
        channels=1,
        classes=("right ventricle", "myocardium", "left ventricle"),
        mean=(0.5,),
        standard_deviation=(0.25,),
        provenance={"domain": "cardiac"},
    )
    return lively(network, spec), spec


def mobile_unet(height: int = 352, width: int = 352, depth: int = 5) -> Made:
    """A Unet of segmentation_models_pytorch on MobileNetV2, random weights, mean and deviation of ImageNet."""
    folder = str(Path(sys.prefix) / "networks")
    assert Path(folder).is_dir(), "tools/install.py puts the networks of others there (make setup)"
    if folder not in sys.path:
        sys.path.append(folder)
    # Beside a CPU build of torch, torchvision lacks its compiled operators; its import wants two to be known.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    smp = import_module("segmentation_models_pytorch")
    network = seeded(lambda: smp.Unet("mobilenet_v2", depth, None, decoder_channels=(256, 128, 64, 32, 16)[-depth:]))
    spec = make_spec(
        "mobile-unet",
        height=height,
        width=width,
        classes=("polyp",),
        mean=IMAGENET_MEAN,
        standard_deviation=IMAGENET_DEVIATION,
        provenance={"domain": "polyp"},
    )
    return lively(network, spec, statistics=False), spec


class PatchTransformer(nn.Module):
    """Self-attention between patches of 8 x 8 pixels, beside coordinates that are made on the way; a skip connection.

    B x 3 x H x W to logits B x 1 x H x W; H and W must be multiples of 8.
    """

    def __init__(self, height: int, width: int, channels: int = 32) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(channels, 4, 2 * channels, batch_first=True, norm_first=True)
        self.patches = nn.Conv2d(3, channels, 8, stride=8)
        self.places = nn.Parameter(0.1 * torch.randn(1, height * width // 64, channels))
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.up = nn.ConvTranspose2d(channels, 8, 8, stride=8)
        self.skip, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(9, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image)
        mixed = self.layers(patches.flatten(2).transpose(1, 2) + self.places).transpose(1, 2).reshape(patches.shape)
        rows = torch.linspace(-1, 1, image.shape[-2])[:, None].expand(image.shape[0], 1, -1, image.shape[-1])
        return self.head(torch.cat((torch.relu(self.up(mixed) + self.skip(image)), rows), 1))


def patch_transformer(height: int = 96, width: int = 64) -> Made:
    """RGB, one class, mean and deviation of ImageNet."""
    spec = make_spec(
        "patch-transformer",
        height=height,
        width=width,
        classes=("polyp",),
        mean=IMAGENET_MEAN,
        standard_deviation=IMAGENET_DEVIATION,
        provenance={"domain": "polyp"},
    )
    return lively(seeded(lambda: PatchTransformer(height, width)), spec, offset=1.0), spec


class GlobalFilter(nn.Module):
    """A learned complex filter of the spectrum, low frequencies mixed between channels, and magnitudes changed.

    B x 3 x H x W to logits B x 1 x H x W.
    """

    def __init__(self, height: int, width: int, channels: int = 8, modes: int = 6) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(2 * channels, 1, 3, padding=1)
        self.gains = nn.Parameter(torch.randn(channels, height, width // 2 + 1, 2) * 0.3)
        self.mixing = nn.Parameter(torch.randn(channels, channels, modes, modes, dtype=torch.cfloat) * 0.3)
        self.modes = modes

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.first(image))
        filtered = torch.fft.irfft2(torch.fft.rfft2(x) * torch.view_as_complex(self.gains), s=x.shape[-2:])
        spectrum = torch.fft.rfft2(filtered, norm="ortho")
        mixed = torch.zeros_like(spectrum)
        low = (..., slice(self.modes), slice(self.modes))
        mixed[low] = torch.einsum("bixy,ioxy->boxy", spectrum[low], self.mixing)
        whole = torch.fft.fft2(x, norm="ortho")
        turned = torch.fft.ifft2(torch.polar(whole.abs().sqrt(), whole.angle()), norm="ortho")
        smooth = torch.fft.irfft2(mixed, s=x.shape[-2:], norm="ortho")
        return self.head(torch.cat((torch.relu(filtered + smooth), turned.real), 1))


def global_filter(height: int = 96, width: int = 64) -> Made:
    """RGB, one class."""
    spec = make_spec("global-filter", height=height, width=width, classes=("polyp",), provenance={"domain": "polyp"})
    return lively(seeded(lambda: GlobalFilter(height, width)), spec, offset=2.0), spec


class RareOperators(nn.Module):
    """What few networks call, and what some backend lacks or changes; each once. B x 3 x H x W to logits B x 1 x H x W.

    Unpooling to the places of maxima, attention over positions, sampling at learned places, assignment to every second
    pixel, folding of overlapping windows, adaptive maxima, means over windows that reach over the edge, enlarging by
    fractions, one-hot vectors, and functions of one number that are seldom met.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.third, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(48, 1, 3, padding=1)
        self.dilated = nn.ConvTranspose2d(8, 8, 3, 2, padding=2, output_padding=1, dilation=2)

    def forward(self, image: Tensor) -> Tensor:
        size = image.shape[-2:]
        x = torch.relu(self.first(image))
        pooled, places = functional.max_pool2d(x, 2, return_indices=True)
        inner = torch.relu(self.second(pooled))
        unpooled = functional.max_unpool2d(inner, places, [2, 2])
        small = functional.avg_pool2d(inner, 8)
        query, key = small.flatten(2).transpose(1, 2), self.third(small).flatten(2)
        attended = ((query @ key).softmax(-1) @ query).transpose(1, 2).unflatten(2, small.shape[-2:])
        sampled = functional.grid_sample(x, torch.tanh(x[:, :2]).permute(0, 2, 3, 1), align_corners=False)
        woven = torch.zeros_like(x)
        woven[:, :, 0::2, 1::2] = inner
        woven[:, :, 1::2, 0::2] = inner.sigmoid()
        columns = functional.unfold(inner, 3, padding=1, stride=2)
        folded = functional.fold(columns * columns.sigmoid(), inner.shape[-2:], 3, padding=1, stride=2)
        widest = functional.one_hot(inner.mean((2, 3)).argmax(1), 8)[..., None, None].to(x.dtype)
        gates = (functional.adaptive_max_pool2d(x, 5) * widest).prod(1, keepdim=True) + functional.logsigmoid(
            small[:, :1, :1, :1]
        )
        edges = functional.avg_pool2d(torch.fmod(x * 3, 2), 5, ceil_mode=True)
        edges = edges * functional.adaptive_avg_pool2d(functional.selu(x), 1)
        inner = inner + functional.avg_pool2d(inner, 3, 1, 1, count_include_pad=False) * inner.std((2, 3), keepdim=True)
        enlarged = [
            functional.interpolate(part, size=size) for part in (attended, folded, gates.expand(-1, 8, -1, -1), edges)
        ]
        joined = torch.lerp(enlarged[2], enlarged[3], 0.3)
        return self.head(
            torch.cat((unpooled, sampled, woven, joined, enlarged[0] + enlarged[1], self.dilated(inner)), 1)
        )


def rare_operators(height: int = 96, width: int = 64) -> Made:
    """RGB, one class."""
    spec = make_spec("rare-operators", height=height, width=width, classes=("polyp",), provenance={"domain": "polyp"})
    return lively(seeded(RareOperators), spec, offset=2.0), spec


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    """A network in eval mode with the same random weights each time; the caller's random state is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


def lively(
    network: nn.Module, spec: NetworkSpec, *, statistics: bool = True, offset: float = 4.0, last: str = ""
) -> nn.Module:
    """The network with BatchNorm statistics of its own activations and logits of spread 2, two spreads away
    from the threshold, so that both labels occur and few pixels are undecided, as in a trained network. A plainly
    initialised one would hide any mistake; one that is undecided everywhere fails every gate of half precision.

    Args:
        statistics: whether BatchNorm takes its statistics from the activations. Through fifty random layers that makes
            a network in which float32's own rounding grows beyond any gate.
        offset: the mean logit; a real picture varies less than noise, and less still through a wider network.
        last: the path of what holds the last convolution, where it is not the last of all modules.
    """
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(4, spec.channels, 8, 8, generator=generator)
    images = nn.functional.interpolate(coarse, size=(spec.height, spec.width), mode="bilinear") * 2 - 0.5
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)] if statistics else []
    with torch.no_grad():
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        network(images)
        for norm in norms:
            norm.eval()
        logits = network(images)
        head = [module for module in network.get_submodule(last).modules() if isinstance(module, nn.Conv2d)][-1]
        assert head.out_channels == spec.outputs
        assert head.bias is not None
        gain = 2.0 / logits.std(dim=(0, 2, 3))
        head.bias.copy_((head.bias - logits.mean(dim=(0, 2, 3))) * gain)
        head.weight.mul_(gain[:, None, None, None])
        head.bias[-1] += offset
    return network
