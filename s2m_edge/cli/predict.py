"""`s2m-edge predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder written by s2m-edge export.")],
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of images: PNG, JPEG, TIFF, NIfTI, DICOM.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks and overlays.")] = Path("predictions"),
    slice_index: Annotated[
        int | None, typer.Option("--slice", help="Slice of a volume; the middle one by default.", min=0)
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability that counts as foreground.", min=0, max=1)
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtime.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Segment images with a bundle: mask and overlay as PNG in the original size, area, time.

    An image that cannot be read does not stop the others; the command then exits with 2.
    """
    from rich import box
    from rich.table import Table

    from s2m_edge.cli import console
    from s2m_edge.contract import NOTICE
    from s2m_edge.errors import ImageError
    from s2m_edge.files import require_writable, write_bytes
    from s2m_edge.imaging.overlay import draw_overlay, mask_picture, png_bytes
    from s2m_edge.imaging.read import free_stem, list_images
    from s2m_edge.targets.bundle import open_bundle
    from s2m_edge.targets.predict import predict_image

    opened = open_bundle(bundle)
    paths = [path for given in images for path in (list_images(given) if given.is_dir() else [given])]
    require_writable(out)
    classes = opened.contract.classes
    results: list[dict[str, object]] = []
    failures: list[ImageError] = []
    taken: set[str] = set()
    with console.progress_bar(f"predict with {opened.target.name}") as update:
        update("loading", 0, 0)
        runner = opened.open_runner(threads)
        for index, path in enumerate(paths):
            update(path.name, index, len(paths))
            try:
                done = predict_image(opened, runner, path, slice_index=slice_index, threshold=threshold)
            except ImageError as error:
                failures.append(error)
                continue
            stem = free_stem(path, taken)
            mask, overlay = out / f"{stem}-mask.png", out / f"{stem}-overlay.png"
            # An evaluator's or an interpreter's time says nothing of a device, and is not shown as if.
            timed = runner.verdict == "executed" and not opened.target.slow_runtime
            ran = f"{done.network_milliseconds:.0f} ms" if timed else runner.device
            caption = f"S2M-Net, {opened.target.title}, {opened.contract.precision}, {ran}"
            write_bytes(mask, png_bytes(mask_picture(done.labels, opened.contract.values["output"]["shape"][1])))
            write_bytes(overlay, png_bytes(draw_overlay(done.image, done.labels, classes, caption)))
            results.append({**done.summary(), "mask": str(mask), "overlay": str(overlay)})
    if as_json:
        console.print_json(
            {
                "bundle": str(bundle),
                "target": opened.target.name,
                "precision": opened.contract.precision,
                "verdict": runner.verdict,
                "remark": runner.remark,
                "device": runner.device,
                "notice": NOTICE,
                "images": results,
                "failures": [str(error) for error in failures],
            }
        )
    elif results:
        console.output.print(
            f"{opened.target.title}, {opened.contract.precision}, {runner.device} ({runner.verdict})", markup=False
        )
        if runner.remark:
            console.output.print(runner.remark, markup=False)
        table = Table(box=box.SIMPLE_HEAD, caption=NOTICE, caption_justify="left", pad_edge=False)
        table.add_column("image", overflow="fold")
        for heading in ("size", "area", "network", "in all"):
            table.add_column(heading, justify="right", no_wrap=True)
        for result in results:
            areas, fractions = result["area_pixels"], result["area_fraction"]
            assert isinstance(areas, dict)
            assert isinstance(fractions, dict)
            table.add_row(
                Path(str(result["image"])).name,
                f"{result['width']} x {result['height']}",
                "\n".join(
                    f"{name if len(areas) > 1 else ''} {fractions[name]:.1%} ({area} px)".strip()
                    for name, area in areas.items()
                ),
                f"{result['network_milliseconds']:.0f} ms",
                f"{result['milliseconds']:.0f} ms",
            )
        console.output.print(table, soft_wrap=False)
        console.output.print(f"masks and overlays: {out}", markup=False)
    if failures:
        for error in failures[:-1]:
            console.status.print(f"[bold red]error:[/] {error}")
        raise failures[-1]
