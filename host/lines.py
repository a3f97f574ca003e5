# SPDX-License-Identifier: Apache-2.0
"""Lines that bytes go over: a serial port, real or of a simulated board."""

import importlib.util
from typing import Any, Protocol

from .link import LinkError


class Line(Protocol):
    """Bytes both ways. All of it raises LinkError where the line is broken."""

    def read(self, seconds: float) -> bytes:
        """What has come, or comes within so many seconds; empty where nothing does."""

    def write(self, data: bytes) -> None:
        """Send all of it."""

    def close(self) -> None:
        """Let go of it; again is no error."""


class SerialLine:
    """A serial port: 8 data bits, no parity, one stop bit.

    Parameters
    ----------
    port: such as /dev/ttyUSB0 or COM3.
    baud: bits a second.
    patience: seconds that a write may take.

    Raises LinkError where the port cannot be opened, or pyserial is missing.
    """

    def __init__(self, port: str, baud: int, *, patience: float) -> None:
        if importlib.util.find_spec("serial") is None:
            raise LinkError(
                "pyserial is needed and is not installed; install it with: "
                "pip install 'deltaloom[host]'"
            )
        import serial

        self._name, self._errors = port, (OSError, serial.SerialException)
        try:
            self._port: Any = serial.Serial(
                port, baud, timeout=0, write_timeout=patience, exclusive=True
            )
            self._port.reset_input_buffer()
        except (*self._errors, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise LinkError(
                f"port {port}: cannot be opened ({reason}); is the board plugged in, is it another "
                "port, does another program use it?"
            ) from error

    def read(self, seconds: float) -> bytes:
        try:
            waiting = self._port.in_waiting
            if not waiting:
                self._port.timeout = seconds
            data: bytes = self._port.read(waiting or 1)
        except (*self._errors, TypeError) as error:  # TypeError: closed by another thread
            raise self._broken(error) from error
        return data

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (*self._errors, TypeError) as error:
            raise self._broken(error) from error

    def close(self) -> None:
        try:
            self._port.close()
        except self._errors:  # what is gone need not be closed
            return

    def _broken(self, error: Exception) -> LinkError:
        reason = getattr(error, "strerror", None) or str(error)
        return LinkError(
            f"port {self._name}: the line broke ({reason}); plug the board in and reconnect"
        )
