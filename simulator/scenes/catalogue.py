"""The scenes by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.events import ObjectLabel
from simulator.scenes.facade import FacadeScene
from simulator.scenes.gate import GateScene
from simulator.scenes.lift import LiftScene
from simulator.scenes.lobby import LobbyScene
from simulator.scenes.painter import Image
from simulator.scenes.truth import Calibration, Labelled, SceneEpisode


class Scene(Protocol):
    """A camera's view over time; both functions depend on the seed and ``t_ms`` alone."""

    name: str
    fps: float
    seed: int
    width: int
    height: int
    duration_ms: int
    episodes: list[SceneEpisode]
    calibration: Calibration | None
    line_xyxy: tuple[float, float, float, float] | None
    zone_xy: tuple[tuple[float, float], ...]

    def render(self, t_ms: int) -> Image:
        """Return the frame at ``t_ms``: BGR, (height, width, 3)."""
        ...

    def truth(self, t_ms: int) -> tuple[Labelled, ...]:
        """Return the labelled boxes at ``t_ms``."""
        ...


SCENES: dict[str, Callable[[int, float], Scene]] = {
    "facade": FacadeScene,
    "lift": LiftScene,
    "lobby": LobbyScene,
    "gate": GateScene,
}
"""name → scene of a seed and a length in seconds."""


def make_scene(name: str, seed: int, seconds: float, cast: Sequence[ObjectLabel] = ()) -> Scene:
    """Return a scene by name; ``cast`` limits what comes into a lift or lobby.

    Raises:
        ValueError: The name is not a scene's, the length is not 5–600 s, or the scene takes no cast.
    """
    if name not in SCENES:
        raise ValueError(f"no scene is called {name!r}; there are {', '.join(SCENES)}")
    if not 5 <= seconds <= 600:
        raise ValueError(f"a scene lasts 5 to 600 s, not {seconds}")
    if not cast:
        return SCENES[name](seed, seconds)
    if name == "lift":
        return LiftScene(seed, seconds, cast)
    if name == "lobby":
        return LobbyScene(seed, seconds, cast)
    raise ValueError(f"scene {name!r} takes no cast; lift and lobby do")
