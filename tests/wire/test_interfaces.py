"""The server and the rig that replaces it in tests implement the interfaces of the hot path."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from pronghorn._wire._interfaces import ConnectionOwner, Transport
from pronghorn.server.protocol import HTTPProtocol
from tests.support.rig import Rig


def methods(interface: Any) -> list[Any]:
    members = {name: member for name, member in vars(interface).items() if name[0] != "_"}
    return [pytest.param(member, id=name) for name, member in members.items() if inspect.isfunction(member)]


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize("kind", [HTTPProtocol, Rig])
@pytest.mark.parametrize("method", methods(ConnectionOwner))
def test_owners_have_every_method(kind: Any, method: Any) -> None:
    assert parameters(getattr(kind, method.__name__)) == parameters(method)


@pytest.mark.parametrize("method", methods(Transport))
def test_rig_has_every_method_of_a_transport(method: Any) -> None:
    assert parameters(getattr(Rig, method.__name__)) == parameters(method)
