"""What the exporter writes, and the rewrites behind it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.preprocess import Preprocessing, normalise
from s2m_edge.network.blocks import ChannelLayerNorm
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.network.model import S2MNet
from s2m_edge.network.spectral import reference_spectral_filter
from s2m_edge.targets.base import example_image
from s2m_edge.targets.coreml.composite import spectral_constants
from s2m_edge.targets.coreml.evaluator import Evaluator, open_package
from s2m_edge.targets.coreml.export import for_half_precision, image_scale_and_bias
from s2m_edge.targets.coreml.metadata import preview_parameters
from s2m_edge.targets.rewrites.half_precision import (
    epsilon_factor,
    round_keeping_sums,
    round_kernels,
    with_exact_half_input,
    with_half_precision_epsilons,
)


def test_metadata_after_reload(saved):
    description = open_package(saved("float32-matmul").path).model.description
    metadata = description.metadata
    assert (metadata.author, metadata.license, metadata.versionString) == ("s2m-edge", "MIT", "3.2.1")
    assert metadata.shortDescription == "Test net: probabilities of the foreground per pixel. Research use only."
    assert metadata.userDefined["dataset"] == "none"
    assert metadata.userDefined["com.apple.coreml.model.preview.type"] == "imageSegmenter"
    preview = json.loads(metadata.userDefined["com.apple.coreml.model.preview.parameters"])
    assert preview == {"labels": ["background", "foreground"], "colors": ["#000000", "#00C878"]}
    assert "96 x 96" in description.input[0].shortDescription
    assert "1 x 1 x 96 x 96" in description.output[0].shortDescription


def test_preview_colours_differ():
    for classes in (1, 2, 3, 9):
        parameters = preview_parameters(default_classes(classes))
        assert len(parameters["labels"]) == len(parameters["colors"]) == max(classes, 2)
        assert len(set(parameters["colors"])) == len(parameters["colors"])


def test_interface_in_the_package(saved):
    colour, grey = (open_package(saved(name).path).model for name in ("float32-matmul", "float16-matmul-grey"))
    assert colour.specificationVersion == grey.specificationVersion == 8  # iOS 17
    image = colour.description.input[0]
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("image", 96, 96)
    assert (image.type.imageType.colorSpace, grey.description.input[0].type.imageType.colorSpace) == (20, 10)
    for model in (colour, grey):
        output = model.description.output[0]
        assert output.name == "probabilities"
        assert output.type.multiArrayType.dataType == 65568
        assert list(output.type.multiArrayType.shape) == [1, 1, 96, 96]


@pytest.mark.skipif(sys.platform == "darwin", reason="the evaluator counts operations")
def test_batch_norms_are_folded(saved):
    package = saved("float32-matmul")
    kinds = package.runner().observations()["operation_kinds"]
    assert "batch_norm" not in kinds
    assert kinds["conv"] == sum(isinstance(m, torch.nn.Conv2d) for m in package.request.network.modules())


def test_only_what_the_manifest_names_is_saved(saved):
    path = saved("float32-custom").path
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    folder = "Data/com.apple.CoreML"
    assert files == {"Manifest.json", f"{folder}/model.mlmodel", f"{folder}/weights/weight.bin"}


def test_half_precision_halves_the_weights(saved):
    sizes = [
        (saved(name).path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size
        for name in ("float32-custom", "float16-custom-classes")
    ]
    assert 0.49 < sizes[1] / sizes[0] < 0.52


@pytest.mark.parametrize("name", ["float32-custom", "float16-matmul-grey"])
def test_exporting_leaves_the_network_alone(saved, name):
    package = saved(name)
    after = package.request.network.state_dict()
    assert after.keys() == package.before.keys()
    assert all(torch.equal(after[key], value) for key, value in package.before.items())
    assert {m.epsilon for m in package.request.network.modules() if isinstance(m, ChannelLayerNorm)} == {1e-6}


SILENT_EXPORT = """
import sys
from pathlib import Path
from s2m_edge import S2MNet, S2MNetConfig
from s2m_edge.deploy.spec import make_spec
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.registry import find_target

network = S2MNet(S2MNetConfig.preset("paper", size=96, mixer_stages=(1,), spatial_stages=(1,))).eval()
request = LoweringRequest(network, make_spec("small", height=96, width=96), "float16")
find_target("coreml").make_exporter().export(request, Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_exporting_says_nothing(tmp_path):
    """In a fresh process, because half of the noise comes when coremltools is imported."""
    command = [sys.executable, "-c", SILENT_EXPORT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "s2mnet.mlpackage" / "Manifest.json").is_file()


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(8, 8),
        Preprocessing(8, 8, 1, mean=(0.2,), standard_deviation=(0.5,)),
        Preprocessing(8, 8, 3, 1 / 127.5, (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)),
        Preprocessing(8, 8, 3, mean=(0.4, 0.5, 0.6), standard_deviation=(0.2, 0.3, 0.4)),
    ],
)
def test_scale_and_bias_are_the_contracts(preprocessing):
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, preprocessing.channels), dtype=np.uint8)
    scale, bias = image_scale_and_bias(preprocessing)
    found = picture.transpose(2, 0, 1)[None] * np.array(scale) + np.array(bias).reshape(1, -1, 1, 1)
    np.testing.assert_allclose(found, normalise(picture, preprocessing), atol=2e-6)
    assert isinstance(scale, float) == (len(set(preprocessing.standard_deviation[: preprocessing.channels])) == 1)


@pytest.mark.parametrize(("height", "width", "kept"), [(12, 12, 8), (11, 11, 11), (8, 8, 8), (10, 14, 7), (6, 9, 32)])
def test_composite_constants_are_the_definition(height, width, kept):
    generator = torch.Generator().manual_seed(height)
    weight = torch.randn(3, kept, kept, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 3, height, width, generator=generator, dtype=torch.float64)
    c = spectral_constants(weight, height, width)
    spectrum = c.height.T @ (x.numpy() @ c.width)
    rolled = c.height_swapped.T @ (x.numpy() @ c.width_swapped)
    found = c.height @ (c.direct * spectrum + c.crossed * rolled) @ c.width.T
    np.testing.assert_allclose(found, reference_spectral_filter(x, weight).numpy(), atol=5e-6)


@pytest.mark.parametrize(("epsilon", "factor"), [(1e-6, 8.0), (1e-5, 4.0), (2.0**-14, 1.0), (1e-3, 1.0), (1e-8, 128.0)])
def test_epsilon_factor(epsilon, factor):
    assert epsilon_factor(epsilon) == factor
    assert factor**2 * epsilon >= 2.0**-14


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_half_precision_epsilons_change_nothing(preset):
    torch.manual_seed(1)
    network = S2MNet(S2MNetConfig.preset(preset, size=96)).eval()
    rescaled = with_half_precision_epsilons(network)
    norms = [module for module in rescaled.modules() if isinstance(module, ChannelLayerNorm)]
    assert len(norms) == (20 if preset == "paper" else 16)
    assert all(norm.epsilon == 6.4e-5 for norm in norms)
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        # A constant picture too: there the epsilon counts most.
        for x in (image, torch.zeros_like(image)):
            torch.testing.assert_close(rescaled(x), network(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(96, 96),
        Preprocessing(96, 96, 1, 1 / 127.5, mean=(1.0,), standard_deviation=(1.0,)),
        Preprocessing(96, 96, mean=(0.5, 0.25 / 255, 128 / 255), standard_deviation=(0.2, 0.3, 0.5)),
    ],
)
def test_every_picture_value_is_exact_in_float16(preprocessing):
    torch.manual_seed(2)
    network = S2MNet(S2MNetConfig.preset("paper", size=96, in_channels=preprocessing.channels)).eval()
    rescaled, exact = with_exact_half_input(network, preprocessing, example_image(*preprocessing.image_shape))
    levels = np.arange(96 * 96, dtype=np.uint32).astype(np.uint8).reshape(96, 96, 1)
    picture = np.repeat(levels, preprocessing.channels, axis=2)
    given = normalise(picture, exact)
    np.testing.assert_array_equal(given, given.astype(np.float16))
    assert len(np.unique(given[0, 0])) == 256
    with torch.no_grad():
        expected = network(torch.from_numpy(normalise(picture, preprocessing)))
        torch.testing.assert_close(rescaled(torch.from_numpy(given)), expected, rtol=0, atol=2e-6)


def test_a_mean_between_grey_levels_stays_as_it_is():
    network = S2MNet(S2MNetConfig.preset("paper", size=96)).eval()
    preprocessing = Preprocessing(96, 96, mean=(0.485, 0.456, 0.406), standard_deviation=(0.229, 0.224, 0.225))
    assert with_exact_half_input(network, preprocessing, example_image(*preprocessing.image_shape)) == (
        network,
        preprocessing,
    )


def test_rounded_kernels_keep_their_sums():
    generator = torch.Generator().manual_seed(3)
    kernels = 3.0 * torch.randn(16, 3, 3, 3, generator=generator)
    kernels[:, :, 1, 1] -= kernels.sum((2, 3))  # differences: each kernel adds up to nothing
    rounded = round_keeping_sums(kernels)
    torch.testing.assert_close(rounded, rounded.half().float(), rtol=0, atol=0)
    plain = (kernels.half().double().sum((2, 3)) - kernels.double().sum((2, 3))).abs().max()
    kept = (rounded.double().sum((2, 3)) - kernels.double().sum((2, 3))).abs().max()
    assert kept < plain / 10
    assert (rounded - kernels).abs().max() < 0.02


def test_rounded_kernels_are_what_the_package_stores(saved):
    """Nothing after them, BatchNorm's folding for one, may round again."""
    stored = set()
    package = open_package(saved("float16-matmul-grey").path)
    for value in Evaluator(package)._constants.values():
        if isinstance(value, torch.Tensor) and value.dtype == torch.float16 and value.shape[-2:] == (3, 3):
            stored.add(value.float().numpy().tobytes())
    request = for_half_precision(saved("float16-matmul-grey").request)
    kernels = [
        module.weight.detach().numpy().tobytes()
        for module in request.network.modules()
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert len(kernels) > 10
    assert set(kernels) <= stored


def test_point_convolutions_round_to_the_nearest():
    layer = torch.nn.Conv2d(4, 5, 1)
    rounded = round_kernels(layer)
    assert isinstance(rounded, torch.nn.Conv2d)
    torch.testing.assert_close(rounded.weight, layer.weight.half().float(), rtol=0, atol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_core_ml_gets_a_picture(saved, channels):
    """The macOS path, up to Core ML's own call."""
    package = saved("float16-matmul-grey" if channels == 1 else "float32-matmul")
    runner = package.runner()
    seen = {}

    def predict(inputs):
        seen.update(inputs)
        return {"probabilities": np.full((1, 1, 96, 96), 0.5, np.float16)}

    runner._evaluator, runner._model = None, SimpleNamespace(predict=predict)
    picture = package.picture()
    found = runner.predict(picture)
    assert found.dtype == np.float32
    assert found.shape == (1, 96, 96)
    assert seen["image"].mode == ("L" if channels == 1 else "RGB")
    assert seen["image"].size == (96, 96)
    np.testing.assert_array_equal(np.asarray(seen["image"]).reshape(picture.shape), picture)
    assert runner.observations() == {}
