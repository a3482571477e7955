"""An independent reader of TensorBoard's event files: TFRecord framing by TensorFlow's documentation
("TFRecord and tf.train.Example": uint64 length, uint32 masked_crc32_of_length, data, uint32
masked_crc32_of_data), CRC-32C and protobuf's encoding in plain Python."""

import struct
import subprocess


def crc32c(data):
    """CRC-32C (Castagnoli) bit by bit, reflected polynomial 0x82F63B78."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    with open(path, "rb") as file:
        content = file.read()
    at = 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        (crc,) = struct.unpack_from("<I", content, at + 8)
        assert crc == masked(crc32c(content[at:at + 8])), f"{path}: length at {at}"
        data = content[at + 12:at + 12 + length]
        assert len(data) == length, f"{path}: cut short at {at}"
        (crc,) = struct.unpack_from("<I", content, at + 12 + length)
        assert crc == masked(crc32c(data)), f"{path}: data at {at}"
        yield data
        at += 12 + length + 4


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """{number: [value, ...]} of a message by protobuf's encoding; bytes as they are."""
    found = {}
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        elif wire == 2:
            length, at = varint(data, at)
            value = data[at:at + length]
            assert len(value) == length
            at += length
        elif wire == 5:
            (value,) = struct.unpack_from("<f", data, at)
            at += 4
        else:
            raise AssertionError(f"wire type {wire}")
        found.setdefault(key >> 3, []).append(value)
    return found


def decode_raw(data):
    """What `protoc --decode_raw` makes of a message, as lines."""
    done = subprocess.run(["protoc", "--decode_raw"], input=data, stdout=subprocess.PIPE, check=True)
    return [line.strip() for line in done.stdout.decode().splitlines()]


def doubles(data):
    return list(struct.unpack(f"<{len(data) // 8}d", data))


def read(path):
    """(scalars {tag: {step: value}}, histograms {tag: {step: {...}}}, wall times); numbers of fields as in
    TensorBoard's event.proto, summary.proto and histogram.proto."""
    scalars, histograms, times = {}, {}, []
    for index, data in enumerate(records(path)):
        event = fields(data)
        times.append(event[1][0])
        if index == 0:
            assert event[3] == [b"brain.Event:2"], event
            continue
        step = event.get(2, [0])[0]
        value = fields(fields(event[5][0])[1][0])
        tag = value[1][0].decode()
        if 2 in value:
            scalars.setdefault(tag, {})[step] = value[2][0]
            continue
        histogram = fields(value[5][0])
        names = {1: "min", 2: "max", 3: "num", 4: "sum", 5: "sum_squares"}
        histograms.setdefault(tag, {})[step] = {
            **{name: histogram.get(number, [0.0])[0] for number, name in names.items()},
            "limits": doubles(histogram[6][0]), "counts": doubles(histogram[7][0])}
    return scalars, histograms, times
