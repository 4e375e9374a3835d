"""What the tabs of a page know of the page that they are part of, and that of its layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.results import StoredImage


class Screen(Protocol):
    """The layout of the page, and how pictures reach the browser."""

    def build(self) -> None:
        """Lay the page out for what is open now."""

    def push(self, camera: bool = False) -> None:
        """Send what is drawn."""

    def push_camera(self) -> None:
        """Have a browser that draws look from where the server does."""

    def deliver(self) -> None:
        """See that the last picture of the server is sent."""

    async def delivered(self) -> None:
        """Wait until the last picture was sent."""


class Owner(Protocol):
    """The page that this is part of."""

    state: Any
    page: Screen | None
    images: list[StoredImage]
    quantities: dict[str, Quantity]
    held: Mapping[str, Quantity]
    """On whose colours these are, as in a series; empty: on their own."""

    @property
    def quantity(self) -> Quantity:
        """What is coloured."""

    def want(self, *parts: str) -> None:
        """Bring parts of the page up to date soon."""
