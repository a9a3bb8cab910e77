"""TCP ports of this machine: which are taken."""

from __future__ import annotations

import socket

from servicekit.errors import UserError


def require_free(host: str, port: int, setting: str) -> None:
    """Raise :class:`UserError`, naming port and setting, where ``port`` is taken."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError as error:
            raise UserError(
                f"port {port} of {host} cannot be used ({error.strerror}): "
                f"stop what listens there, or choose another with {setting}"
            ) from None
