"""A small writer of LevelDBs for the tests, made from the description of the format and not from the reader."""

import struct

ORDER = b"leveldb.BytewiseComparator"
MAGIC = bytes.fromhex("57fb808b247547db")


def _byte(value):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


BYTES = [_byte(value) for value in range(256)]


def crc32c(data):
    """The CRC-32C byte by byte."""
    state = 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ BYTES[(state ^ byte) & 255]
    return state ^ 0xFFFFFFFF


def checksum(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def sized(data):
    return varint(len(data)) + data


def fragment(kind, data):
    body = bytes([kind]) + data
    return checksum(body) + struct.pack("<H", len(data)) + body


def log(entries):
    """The bytes of a log with these entries."""
    out = bytearray()
    for entry in entries:
        first, left = True, entry
        while first or left:
            room = 32768 - len(out) % 32768
            if room < 7:
                out += bytes(room)
                continue
            part, left = left[:room - 7], left[room - 7:]
            out += fragment({(1, 1): 1, (1, 0): 2, (0, 0): 3, (0, 1): 4}[first, not left], part)
            first = False
    return bytes(out)


def batch(sequence, changes):
    """An entry of a log: (key, value) puts a record in, (key, None) takes one out."""
    out = struct.pack("<QI", sequence, len(changes))
    for key, value in changes:
        out += b"\0" + sized(key) if value is None else b"\1" + sized(key) + sized(value)
    return out


def pack(data):
    """Snappy with literals of 60 bytes at most; where a byte comes again and again, it is copied."""
    out, at = bytearray(varint(len(data))), 0
    while at < len(data):
        run = 1
        while run < 64 and at + run < len(data) and data[at + run] == data[at - 1] == data[at] and at:
            run += 1
        if run > 3:
            out += bytes([run - 1 << 2 | 2, 1, 0])
            at += run
        else:
            out += b"\0" + data[at:at + 1]
            at += 1
    return bytes(out)


def block(pairs, every=3, method=0, packed=None):
    """A block of (key, value) pairs, with its method and its checksum behind it; each third key is whole."""
    out, wholes, before = bytearray(), [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % every:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            wholes.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    out += struct.pack(f"<{len(wholes) + 1}I", *wholes, len(wholes))
    stored = (packed or (pack if method == 1 else bytes))(bytes(out)) + bytes([method])
    return stored + checksum(stored)


def table(rows, each=5, method=0):
    """The bytes of a table of (key, sequence number, value or None) in their order, with `each` records a block."""
    pairs = [(internal(key, sequence, value is not None), value or b"") for key, sequence, value in rows]
    out, index = bytearray(), []
    for i in range(0, len(pairs), each):
        stored = block(pairs[i:i + each], method=method)
        index.append((pairs[i:i + each][-1][0], varint(len(out)) + varint(len(stored) - 5)))
        out += stored
    meta, places = block([]), varint(len(out))
    out += meta
    places += varint(len(meta) - 5) + varint(len(out))
    stored = block(index, every=1)
    out += stored
    places += varint(len(stored) - 5)
    return bytes(out + places + bytes(40 - len(places)) + MAGIC)


def internal(key, sequence, put=True):
    return key + struct.pack("<Q", sequence << 8 | put)


def write(folder, tables=(), logs=(), order=ORDER, first_log=None):
    """Make a LevelDB of tables, each a list of rows or (rows, method), and logs, each a list of entries."""
    folder.mkdir(parents=True, exist_ok=True)
    edit = varint(1) + sized(order)
    for number, rows in enumerate(tables, 5):
        rows, method = rows if isinstance(rows, tuple) else (rows, 0)
        content = table(rows, method=method)
        (folder / f"{number:06d}.ldb").write_bytes(content)
        edit += varint(7) + varint(number % 3) + varint(number) + varint(len(content))
        edit += sized(internal(*rows[0][:2])) + sized(internal(*rows[-1][:2]))
    number = 100
    for number, entries in enumerate(logs or [()], 100):
        (folder / f"{number:06d}.log").write_bytes(log(entries))
    manifest = log([edit, varint(2) + varint(first_log or 100) + varint(9) + varint(0) + varint(3) + varint(number + 1)
                    + varint(4) + varint(999)])
    (folder / "MANIFEST-000004").write_bytes(manifest)
    (folder / "CURRENT").write_text("MANIFEST-000004\n")
    return folder
