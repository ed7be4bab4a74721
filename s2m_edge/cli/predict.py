"""`s2m-edge predict`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import JsonOption, MaxPixelsOption, finite


def predict(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder written by s2m-edge export.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Images, studies, or folders of them: PNG, JPEG, TIFF, NIfTI, NRRD, MetaImage, DICOM."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the masks and overlays.")] = Path("predictions"),
    slice_index: Annotated[
        int | None,
        typer.Option(
            "--slice",
            help="Slice of a volume, page of a TIFF (the middle one by default), frame of an animation (the first).",
            min=0,
        ),
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(help="Whole studies, these slices of them: all, one, or 10:40 (10 to 39, the first is 0)."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Whole studies, their results as dicom-seg, nifti, csv, json, png, with commas; png by default.",
        ),
    ] = None,
    codes: Annotated[
        Path | None,
        typer.Option(help="Codes of the classes for DICOM-SEG, a JSON file; a bundled network's classes have theirs."),
    ] = None,
    seg_type: Annotated[
        str | None,
        typer.Option(
            help="How DICOM-SEG stores its pixels: binary (the default), fractional (the probabilities), labelmap.",
            show_default=False,
        ),
    ] = None,
    plane: Annotated[
        str | None,
        typer.Option(
            help="Of volumes: axial (the default), coronal, sagittal, or stored (the last axis). Of a DICOM series the "
            "acquired one by default.",
            show_default=False,
        ),
    ] = None,
    volume: Annotated[int | None, typer.Option(help="Which volume of a series (4-D NIfTI).", min=0)] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability that counts as foreground.", min=0, max=1, callback=finite)
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtime.", min=1)] = None,
    unproved: Annotated[
        bool, typer.Option("--unproved", help="Also with a bundle that failed its gate, for research; outputs say so.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in --out that were not written for the same picture.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="A table of pictures instead: CSV or Parquet with the column path; see docs/archives.md."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that share a manifest's pictures.", min=1)] = 1,
    engine: Annotated[str, typer.Option(help="Of a manifest: local, or ray (Ray Data).")] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster that runs already; one of this machine's own by default.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Segment images with a bundle: mask and overlay as PNG in the original size, area, time.

    An image that cannot be read, or that the artifact fails on, does not stop the others; the exit code is then 2. One
    that is unlike the pictures the network was trained on gets a warning, and changes no exit code.

    Of files that are in --out already, only those are replaced that this command wrote for the same picture and nobody
    changed since; --overwrite allows the others.

    With --slices or --format the arguments are studies, and every slice is segmented: a DICOM series is one study,
    wherever its files lie, and so are a volume and a file of frames. Without either, each file is a picture, and of a
    volume the middle slice is taken.

    With --manifest, pictures by the thousand: what is done is in a ledger in --out, so that the same command goes on
    after an interruption, and does again only what changed or failed.
    """
    from s2m_edge.errors import ConfigurationError

    if manifest is not None:
        from s2m_edge.cli.predict_archive import predict_archive
        from s2m_edge.targets.archive.job import Options

        if images:
            raise ConfigurationError("pictures and --manifest were both given", "Leave one of them out.")
        predict_archive(
            bundle,
            manifest,
            out,
            Options(plane, volume, threshold, not unproved, overwrite, max_pixels, codes=codes),
            formats=formats,
            slices=slices,
            default_slice=slice_index,
            engine=engine,
            workers=workers,
            threads=threads,
            ray_address=ray_address,
            as_json=as_json,
            seg_type=seg_type,
        )
        return
    if not images:
        raise ConfigurationError("no picture was given", "Name pictures or folders, or a table with --manifest.")
    if (workers, engine, ray_address) != (1, "local", None):
        raise ConfigurationError("--workers, --engine and --ray-address are for --manifest", "Leave them out.")
    from rich import box
    from rich.table import Table

    from s2m_edge import console
    from s2m_edge.deploy.activation import require_threshold
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.errors import AnswerError, ConfigurationError, ImageError, OutputError, S2MEdgeError
    from s2m_edge.files import no_empty_folder, require_writable, write_bytes
    from s2m_edge.imaging.overlay import draw_overlay, mask_picture
    from s2m_edge.imaging.planes import find_plane
    from s2m_edge.imaging.written import marked_png, source_of
    from s2m_edge.notice import NOTICE
    from s2m_edge.targets.opening import open_runner, target_of
    from s2m_edge.targets.outputs import pictures_of, plan_outputs
    from s2m_edge.targets.predict import predict_image
    from s2m_edge.texts import printable

    opened = open_bundle(bundle, proved=not unproved)
    proved = opened.contract.proved
    if not proved:
        console.print_warning("this bundle did not pass its parity gate; its masks are not proved")
    if threshold is not None:
        require_threshold(threshold, opened.contract.values["output"]["shape"][1])
    _ = opened.guard  # a damaged one is refused before any work
    if slices is not None or formats is not None:
        from s2m_edge.cli.predict_study import predict_studies, request_of

        request = request_of(
            images,
            out,
            formats,
            slices,
            slice_index,
            plane=plane,
            volume=volume,
            threshold=threshold,
            overwrite=overwrite,
            codes=codes,
            seg_type=seg_type,
        )
        predict_studies(opened, request, threads, as_json)
        return
    if codes is not None or seg_type is not None:
        named = "--codes" if seg_type is None else "--seg-type"
        raise ConfigurationError(f"{named} is for DICOM-SEG", "Add --format dicom-seg.")
    target = target_of(opened)
    plane = find_plane(plane or "axial")
    paths = [path for given in images for path in (pictures_of(given) if given.is_dir() else [given])]
    mark = "" if proved else "-unproved"
    cut = "" if (plane, volume) == ("axial", None) else f"{plane} {volume or 0}"
    planned = plan_outputs(paths, out, mark=mark, slice_index=slice_index, cut=cut, overwrite=overwrite)
    classes = opened.contract.classes
    results: list[dict[str, object]] = []
    failures: list[S2MEdgeError] = []
    with no_empty_folder(out), console.progress_bar(f"predict with {target.name}") as update:
        require_writable(out)
        update("loading", 0, 0)
        runner = open_runner(opened, threads)
        for index, outputs in enumerate(planned):
            path = outputs.image
            update(path.name, index, len(planned))
            try:
                done = predict_image(
                    opened,
                    runner,
                    path,
                    slice_index=slice_index,
                    plane=plane,
                    volume=volume,
                    threshold=threshold,
                    progress=lambda at, total, name=path.name: update(f"{name}, windows", at, total),
                )
                source = source_of(path, slice_index, cut)
            except (ImageError, AnswerError) as error:
                failures.append(error)
                continue
            if done.guard is not None and done.guard.unusual:
                console.print_warning(f"{path.name} {done.guard.warning}")
            # An evaluator's or an interpreter's time says nothing of a device, and is not shown as if.
            timed = runner.verdict == "executed" and not target.slow_runtime
            ran = f"{done.network_milliseconds:.0f} ms" if timed else runner.device
            name = opened.contract.values["network"]["architecture"]
            caption = f"{name}, {target.title}, {opened.contract.precision}, {ran}{'' if proved else ', NOT PROVED'}"
            mask = mask_picture(done.labels, opened.contract.values["output"]["shape"][1])
            overlay = draw_overlay(done.image, done.labels, classes, caption)
            try:
                write_bytes(outputs.mask, marked_png(mask, source))
                write_bytes(outputs.overlay, marked_png(overlay, source))
            except OutputError as error:  # the next would fail as well; what is done is reported
                failures.append(error)
                break
            results.append({**done.summary(), "mask": str(outputs.mask), "overlay": str(outputs.overlay)})
    if as_json:
        console.print_json(
            {
                "bundle": str(bundle),
                "target": target.name,
                "precision": opened.contract.precision,
                "proved": proved,
                "verdict": runner.verdict,
                "remark": runner.remark,
                "device": runner.device,
                "notice": NOTICE,
                "images": results,
                "failures": [str(error) for error in failures],
            }
        )
    elif results:
        console.output.print(f"{target.title}, {opened.contract.precision}, {runner.device} ({runner.verdict})")
        if runner.remark:
            console.output.print(runner.remark)
        table = Table(box=box.SIMPLE_HEAD, caption=NOTICE, caption_justify="left", pad_edge=False)
        table.add_column("image", overflow="fold")
        for heading in ("size", "area", "network", "in all"):
            table.add_column(heading, justify="right", no_wrap=True)
        names = _told_apart([str(result["image"]) for result in results])
        for result in results:
            areas, fractions = result["area_pixels"], result["area_fraction"]
            assert isinstance(areas, dict)
            assert isinstance(fractions, dict)
            verdict = result["guard"]
            unusual = isinstance(verdict, dict) and verdict["unusual"]
            table.add_row(
                printable(names[str(result["image"])]) + ("\n(unusual picture)" if unusual else ""),
                f"{result['width']} x {result['height']}",
                "\n".join(
                    f"{printable(name) if len(areas) > 1 else ''} {fractions[name]:.1%} ({area} px)".strip()
                    for name, area in areas.items()
                ),
                f"{result['network_milliseconds']:.0f} ms",
                f"{result['milliseconds']:.0f} ms",
                style="yellow" if unusual else None,
            )
        console.output.print(table, soft_wrap=False)
        console.output.print(f"masks and overlays: {out}")
    if failures:
        for error in failures[:-1]:
            console.print_error(error)
        raise failures[-1]


def _told_apart(paths: list[str]) -> dict[str, str]:
    """What a table calls each picture: its name, or its whole path where another one is called so too."""
    counts = Counter(Path(path).name for path in paths)
    return {path: Path(path).name if counts[Path(path).name] == 1 else path for path in paths}
