"""``python -m simulator.scenes facade --seed 1 --seconds 30 --out f.mp4 --truth t.jsonl``."""

from __future__ import annotations

from pathlib import Path

import click

from contracts.errors import Permanent
from contracts.events import ObjectLabel
from simulator.scenes.catalogue import SCENES
from simulator.scenes.truth import write_truth
from simulator.scenes.writer import write_scene


@click.command()
@click.argument("name", type=click.Choice(tuple(SCENES)))
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same pixels.")
@click.option("--seconds", type=click.FloatRange(5, 600), default=30.0, show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The video, .mp4.")
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="What is in it, as JSON lines.")
@click.option("--cast", help="Only these come into a lift or lobby: labels with commas, such as wheelchair,pram.")
def main(name: str, seed: int, seconds: float, out: Path, truth: Path | None, cast: str | None) -> None:
    """Render one of the scenes to a video file, with its ground truth."""
    try:
        labels = tuple(ObjectLabel(label) for label in (cast or "").split(",") if label)
        written = write_scene(name, seed, seconds, out, cast=labels)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except Permanent as error:
        raise click.ClickException(str(error)) from error
    if truth is not None:
        write_truth(written, truth)
    click.echo(f"{out}: {len(written.frames)} frames, {len(written.episodes)} episodes", err=True)


if __name__ == "__main__":
    main()
