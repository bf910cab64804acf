"""Installations with limits."""

from collections.abc import Callable

import pytest

from tests.gateway.conftest import SETTINGS, World


@pytest.fixture
def limited(world: World) -> Callable[[str], World]:
    """The installation with settings of usage beside the usual ones."""

    def settle(settings: str) -> World:
        world.services.home.config_file.write_text(SETTINGS + settings)
        return world

    return settle


def limit(name: str, what: str, most: object, per: str = "day", more: str = "") -> str:
    """A limit as settings have it."""
    return f'[[usage.limits]]\nname = "{name}"\nwhat = "{what}"\nmost = {most}\nper = "{per}"\n{more}\n'


def price(model: str, **of: object) -> str:
    """A price as settings have it."""
    return f'[[usage.prices]]\nmodel = "{model}"\n' + "".join(f"{name} = {value}\n" for name, value in of.items())
