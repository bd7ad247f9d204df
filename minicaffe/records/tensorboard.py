"""Event files as TensorBoard reads them: scalars by tag and iteration. The format is simple, so no package is needed.

    file        blocks: length (uint64), its checksum, the payload, its checksum
    checksum    CRC-32C, rotated right by 15 bits, + 0xa282ead8
    payload     an Event message: wall_time = 1, step = 2, file_version = 3, summary = 5 { value = 1 {
                tag = 1, simple_value = 2 } }, session_log = 7 { status = 1 }
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np

from minicaffe.errors import DataError
from minicaffe.io.wire import FIXED32, FIXED64, LENGTH, VARINT, put_tag, put_varint
from minicaffe.log import At, warn
from minicaffe.records.run_log import TOTAL, own_name

POLYNOMIAL = 0x82F63B78  # CRC-32C, its bits reversed
START = 1  # SessionLog.SessionStatus


class EventFile:
    """Writes the events of a training into a new file in a folder; its method `event` is a Sink of recorder.py.

    Raise DataError where the file cannot be made. Where the disk is full later, it warns and writes no more.
    """

    def __init__(self, folder: str) -> None:
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self.path = Path(folder) / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: Any = self.path.open("ab")
            self._write(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))
        except OSError as error:
            raise DataError(f"cannot write TensorBoard's events to {folder}: {error.strerror or error}") from error

    def event(self, event: dict[str, Any]) -> None:
        """Write the numbers of a train or test event, or that a training begins or is resumed.

        At this mark TensorBoard drops what older files in the folder hold of this iteration and later ones. Without
        it the curves would run backwards where a training is resumed from an older snapshot.
        """
        if self._file is None:
            return
        try:
            if event["event"] in ("start", "resume"):
                self._put(event, _bytes(7, put_tag(1, VARINT, START)))
            elif scalars := _scalars(event):
                summary = b"".join(_bytes(1, _bytes(1, tag.encode("utf-8", "backslashreplace")) + _float(2, value))
                                   for tag, value in scalars.items())
                self._put(event, _bytes(5, summary))
        except OSError as error:
            warn(At.RUN_FOLDER, f"cannot write {self.path}: {error.strerror or error}; the training goes "
                                     f"on without it")
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _put(self, event: dict[str, Any], content: bytes) -> None:
        self._write(_double(1, time.time()) + put_tag(2, VARINT, event["iteration"]) + content)

    def _write(self, payload: bytes) -> None:
        length = struct.pack("<Q", len(payload))
        self._file.write(length + _checksum(length) + payload + _checksum(payload))
        self._file.flush()


def _scalars(event: dict[str, Any]) -> dict[str, float]:
    """The numbers of an event by tag: 'train/loss', 'test/accuracy', or 'test1/accuracy' for the second test net.

    The smoothed sum of all losses is 'train/total loss'.
    """
    group = event["event"] if not event.get("net") else f"test{event['net']}"
    if event["event"] not in ("train", "test"):
        return {}
    found = {}
    for blob, value in event.get("outputs", {}).items():
        name = own_name(blob)
        for k, item in enumerate(value if isinstance(value, list) else [value]):
            found[f"{group}/{name}/{k}" if isinstance(value, list) else f"{group}/{name}"] = float(item)
    if group == "train":
        found[f"train/{TOTAL}"] = float(event["loss"])
        if event.get("rate") is not None:
            found["train/rate"] = float(event["rate"])
    if "epoch" in event:
        found[f"{group}/epoch"] = event["epoch"]
    return found


def _bytes(number: int, value: bytes) -> bytes:
    return put_tag(number, LENGTH, len(value)) + value


def _double(number: int, value: float) -> bytes:
    return put_varint(number << 3 | FIXED64) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    return put_varint(number << 3 | FIXED32) + np.array(value, "<f4").tobytes()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _table() -> list[int]:
    """Return the CRC-32C of each byte, from which `crc32c` puts those of longer data together."""
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
