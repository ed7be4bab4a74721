"""The report: figures that follow from the times, a schema, a table, a chart."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import jsonschema
import pytest
from matplotlib.container import BarContainer
from PIL import Image

from s2m_edge.charts import require_drawable
from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.measure.benchmark.chart import draw, write_chart
from s2m_edge.targets.measure.benchmark.columns import left_out, own_rows, peer_rows, profile_rows
from s2m_edge.targets.measure.benchmark.markdown import markdown_page
from s2m_edge.targets.measure.benchmark.report import SCHEMA_PATH


def by_title(values, title):
    return next(entry for entry in values["contenders"] if entry["title"] == title)


def test_the_values_follow_the_schema(values):
    jsonschema.validate(json.loads(json.dumps(values)), json.loads(SCHEMA_PATH.read_text()))


def test_the_base_is_the_faster_eager_row(values):
    assert values["base"] == "PyTorch eager, channels_last"
    assert by_title(values, "PyTorch eager, channels_last")["ratio_to_eager"] == 1


def test_speed_follows_from_the_median(values):
    onnx = by_title(values, "onnx")
    assert onnx["latency_milliseconds"]["median"] == 21
    assert onnx["ratio_to_eager"] == pytest.approx(42 / 21)
    assert onnx["images_per_second"] == pytest.approx(1000 / 21)
    assert onnx["gflop_per_second"] == pytest.approx(2 * 0.7 / 0.021)
    ceiling = 2 * 2048**3 / 0.1 / 1e9
    assert values["ceiling"]["gflop_per_second"] == pytest.approx(ceiling)
    assert onnx["ceiling_share"] == pytest.approx(2 * 0.7 / 0.021 / ceiling)


def test_a_peers_speed_is_that_of_its_own_work(values):
    assert by_title(values, "peer, onnx")["gflop_per_second"] == pytest.approx(2 * 0.9 / 0.092)


def test_percentiles_lie_on_both_sides_of_the_median(values):
    latency = by_title(values, "PyTorch eager, channels_last")["latency_milliseconds"]
    assert latency["percentile_10"] == pytest.approx(40.4)
    assert latency["percentile_90"] == pytest.approx(65.6)


def test_what_was_not_executed_has_no_times_and_is_named_with_its_reason(values):
    assert by_title(values, "core ml")["latency_milliseconds"] is None
    assert by_title(values, "core ml")["artifact_bytes"] == 30
    lines = left_out(values)
    assert "core ml: converted, not executed (no runtime), 0.0 MB" in lines
    assert "openvino: not run (it went wrong)" in lines
    assert "left out: something" in lines


def test_other_networks_stand_apart(values):
    assert [row["title"] for row in peer_rows(values)] == ["peer, onnx"]
    assert "peer, onnx" not in [row["title"] for row in own_rows(values)]


def test_a_profiles_last_row_is_its_sum(values):
    rows = profile_rows(by_title(values, "onnx"))
    assert rows[0] == ["stem", "2.0", "10 %", "-", "-", "-", "-", "-"]
    assert rows[-1] == ["all", "20.0", "100 %", "12.0", "6.0", "0.0", "0.0", "0.0"]


def test_the_page_holds_every_row_and_links_the_chart_from_where_it_lies(values, tmp_path):
    page = markdown_page(values, tmp_path / "docs" / "page.md", tmp_path / "docs" / "images" / "chart.svg")
    assert "](images/chart.svg)" in page
    for title in ("PyTorch eager, NCHW", "onnx", "peer, onnx"):
        assert f"| {title} |" in page
    assert "| onnx | 21.0 | 20.2 to 22.6 | 2.00 |" in page
    assert values["machine"]["line"] in page
    tables = [line for line in page.splitlines() if line.startswith("| contender")]
    assert len(tables) == 1
    assert tables[0].count("|") == 12


def test_a_chart_has_a_bar_and_whiskers_for_each_executed_contender(values):
    (axes,) = draw(values).axes
    bars = [container for container in axes.containers if isinstance(container, BarContainer)]
    assert [patch.get_width() for patch in bars[0].patches] == [60, 42, 21, 92]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "PyTorch eager, NCHW",
        "PyTorch eager, channels_last",
        "onnx",
        "peer, onnx",
    ]
    whiskers = bars[0].errorbar
    assert whiskers is not None
    segments: Any = whiskers.lines[2][0].get_segments()
    assert segments[2][:, 0] == pytest.approx([20.2, 22.6])


def test_a_chart_is_a_real_picture_in_both_formats(values, tmp_path):
    write_chart(tmp_path / "chart.png", values)
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        colours = picture.convert("RGB").getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 3
    write_chart(tmp_path / "chart.svg", values)
    root = ElementTree.parse(tmp_path / "chart.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = "".join(root.itertext())
    for text in ("peer, onnx", values["machine"]["processor"], "Research use only"):
        assert text in texts


def test_the_same_figures_give_the_same_svg(values, tmp_path):
    for name in ("first.svg", "second.svg"):
        write_chart(tmp_path / name, values)
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "second.svg").read_bytes()


def test_a_chart_of_another_format_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"\.png or \.svg"):
        require_drawable(tmp_path / "chart.jpg")
