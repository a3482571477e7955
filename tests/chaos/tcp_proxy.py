#!/usr/bin/env python3
"""A TCP proxy on loopback whose faults are switched while connections live.

In a test (each fault holds for all connections from the moment it is set):

    with TcpProxy(teacher.address) as proxy:
        worker = start_worker(proxy.address)
        proxy.set(delay=0.2, bandwidth=125000)
        proxy.set(blackhole=True)
        proxy.set(blackhole=False)
        proxy.reset_all()

Faults:
    delay        seconds that every byte is late; order and rate stay
    stall        longest pause in seconds; pauses come after about `stall_bytes` bytes each, at places
                 and of lengths that (seed, connection, direction) decide
    bandwidth    bytes per second of each connection in each direction
    blackhole    sockets stay open, nothing is read, sent or closed; new connections are taken
    one_way      "to_client" or "to_server": bytes and the end of that direction are swallowed. What
                 was swallowed is gone: switched off again, the connection has a gap
    reset_every  seconds after which a connection is reset (from the time of `set` if it is older)
"""

import argparse
import asyncio
import collections
import dataclasses
import random
import signal
import socket
import struct
import threading

TO_SERVER, TO_CLIENT = "to_server", "to_client"
PIECE = 64 * 1024  # bytes read or sent at once
READ_AHEAD = 4 * PIECE  # bytes held per direction, besides those that wait for their delay
FAST = 25e6  # bytes per second that a line without a limit is taken to carry while it delays
BANDWIDTH_SLICE = 0.02  # seconds of bandwidth sent at once
PATIENCE = 30  # seconds for the proxy's own thread to answer


@dataclasses.dataclass(frozen=True)
class Faults:
    delay: float = 0.0
    stall: float = 0.0
    stall_bytes: int = PIECE
    bandwidth: float = 0.0  # 0: unlimited
    blackhole: bool = False
    one_way: str = ""
    reset_every: float = 0.0  # 0: never

    def __post_init__(self):
        for name in ("delay", "stall", "bandwidth", "reset_every"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if self.stall_bytes < 1:
            raise ValueError(f"stall_bytes must be 1 or more, got {self.stall_bytes}")
        if self.one_way not in ("", TO_CLIENT, TO_SERVER):
            raise ValueError(f'one_way must be "", "{TO_CLIENT}" or "{TO_SERVER}", got '
                             f'"{self.one_way}"')


def stalls(seed, connection, direction):
    """Endless (gap, length) of one direction's stalls: gap in units of `stall_bytes`, mean 1; length
    in units of `stall`, 0 to 1. A pure function of its arguments."""
    generator = random.Random(f"{seed}/{connection}/{direction}")
    while True:
        yield generator.expovariate(1), generator.random()


def parse_address(text):
    """("127.0.0.1", 7001) of "127.0.0.1:7001"."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'"{text}" is no HOST:PORT')
    return host, int(port)


def reset(sock):
    """Closes with a RST, whatever is still on its way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TcpProxy:
    """Forwards a loopback port to `target` ("HOST:PORT"), with faults.

    Threads: an event loop in a thread of its own does all the work; the methods are for any thread.
    Nothing here blocks for longer than it takes that thread to answer."""

    def __init__(self, target, listen="127.0.0.1:0", seed=1, **faults):
        self._target = parse_address(target)
        self._seed = seed
        self._faults = Faults(**faults)
        # Counted by the loop's thread; read by any.
        self.connection_count = 0
        self.bytes_to_server = 0
        self.bytes_to_client = 0
        self._connections = set()
        self._listener = socket.create_server(parse_address(listen))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # also of accepted ones
        self._listener.setblocking(False)
        self.address = "{}:{}".format(*self._listener.getsockname()[:2])
        self._loop = asyncio.new_event_loop()
        self._changed = self._loop.create_future()
        self._set_at = self._loop.time()
        self._thread = threading.Thread(target=self._run, name="tcp_proxy", daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def set(self, **faults):
        """Changes the faults that are named; the others stay. Returns once it holds."""
        self._in_loop(self._set, faults)

    def clear(self):
        """Ends all faults."""
        self._in_loop(self._set, dataclasses.asdict(Faults()))

    def reset_all(self):
        """Resets all open connections, both ends; returns how many."""
        return self._in_loop(self._reset_all)

    @property
    def open_connections(self):
        return len(self._connections)

    def close(self):
        """Resets all connections and stops listening."""
        if self._thread.is_alive():
            self._in_loop(self._reset_all)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
        self._listener.close()

    # What follows runs in the loop's thread.

    def _run(self):
        asyncio.set_event_loop(self._loop)
        acceptor = self._loop.create_task(self._accept())
        self._loop.run_forever()
        acceptor.cancel()
        tasks = asyncio.all_tasks(self._loop)
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def _in_loop(self, function, *arguments):
        async def call():
            return function(*arguments)
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(PATIENCE)

    def _set(self, faults):
        self._faults = dataclasses.replace(self._faults, **faults)
        self._set_at = self._loop.time()
        self._changed.set_result(None)
        self._changed = self._loop.create_future()

    def _reset_all(self):
        connections = list(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    async def _accept(self):
        while True:
            try:
                client, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # gone again, or no descriptor is left
                await asyncio.sleep(0.05)
                continue
            client.setblocking(False)
            connection = _Connection(self, client, self.connection_count)
            self.connection_count += 1
            self._connections.add(connection)
            connection.start()

    async def _until(self, time):
        """Sleeps until the loop's time, or until the faults change; True if the time has come."""
        left = time - self._loop.time()
        if left <= 0:
            return True
        await asyncio.wait([self._changed], timeout=left)
        return self._loop.time() >= time

    async def _open(self):
        """Waits while the proxy is a black hole."""
        while self._faults.blackhole:
            await asyncio.wait([self._changed])


class _Connection:
    """One client and its connection to the target."""

    def __init__(self, proxy, client, number):
        self.proxy = proxy
        self.number = number
        self.opened_at = proxy._loop.time()
        self.sockets = [client]
        self.task = None

    def start(self):
        self.task = self.proxy._loop.create_task(self._serve())

    def reset(self):
        for sock in self.sockets:
            self.proxy._loop.remove_reader(sock)
            self.proxy._loop.remove_writer(sock)
            reset(sock)
        self.sockets = []
        self.proxy._connections.discard(self)
        if self.task is not None:
            self.task.cancel()

    async def _serve(self):
        client = self.sockets[0]
        try:
            await self.proxy._open()
            server = socket.socket()
            server.setblocking(False)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
            self.sockets.append(server)
            await self.proxy._loop.sock_connect(server, self.proxy._target)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                lifetime = group.create_task(self._reset_when_old())
                await asyncio.wait([
                    group.create_task(_Pump(self, client, server, TO_SERVER).run()),
                    group.create_task(_Pump(self, server, client, TO_CLIENT).run())])
                lifetime.cancel()
            for sock in self.sockets:
                sock.close()
            self.sockets = []
            self.proxy._connections.discard(self)
        except* OSError:
            self.reset()  # one end is broken: break the other

    async def _reset_when_old(self):
        proxy = self.proxy
        while True:
            if not proxy._faults.reset_every:
                await asyncio.wait([proxy._changed])
                continue
            start = max(self.opened_at, proxy._set_at)
            if await proxy._until(start + proxy._faults.reset_every):
                self.reset()
                return


class _Pump:
    """One direction of a connection: a reader, a queue of (time due, bytes), a writer."""

    def __init__(self, connection, source, sink, direction):
        self.proxy = connection.proxy
        self.loop = connection.proxy._loop
        self.source = source
        self.sink = sink
        self.direction = direction
        self.queue = collections.deque()
        self.held = 0
        self.moved = asyncio.Event()
        self.stalls = stalls(self.proxy._seed, connection.number, direction)
        self.gap, self.length = next(self.stalls)
        self.since_stall = 0

    async def run(self):
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._write())

    def _room(self):
        faults = self.proxy._faults
        # A slow line holds little: what was sent must not look received.
        limit = max(1, faults.bandwidth * BANDWIDTH_SLICE) if faults.bandwidth else READ_AHEAD
        return int(limit + (faults.bandwidth or FAST) * faults.delay) - self.held

    async def _read(self):
        while True:
            await self.proxy._open()
            if self._room() <= 0:
                self.moved.clear()
                await self.moved.wait()
                continue
            await self._ready(self.loop.add_reader, self.loop.remove_reader, self.source)
            if self.proxy._faults.blackhole:
                continue  # it came while we waited
            try:
                data = self.source.recv(min(PIECE, self._room()))
            except BlockingIOError:
                continue
            if self.proxy._faults.one_way != self.direction:
                self.queue.append((self.loop.time() + self.proxy._faults.delay, data))
                self.held += len(data)
            elif not data:
                self.queue.append((0, None))
            self.moved.set()
            if not data:
                return

    async def _write(self):
        while True:
            while not self.queue:
                self.moved.clear()
                await self.moved.wait()
            due, data = self.queue[0]
            while not await self.proxy._until(due):
                pass
            await self.proxy._open()
            self.queue.popleft()
            if data is None:
                return
            if not data:
                self.sink.shutdown(socket.SHUT_WR)
                return
            await self._send(data)
            self.held -= len(data)
            self.moved.set()

    async def _send(self, data):
        left = memoryview(data)
        while left:
            faults = self.proxy._faults
            size = len(left)
            if faults.bandwidth:
                size = min(size, max(1, int(faults.bandwidth * BANDWIDTH_SLICE)))
            if faults.stall:
                until_stall = int(self.gap * faults.stall_bytes) + 1 - self.since_stall
                if until_stall <= 0:
                    await self._stall(faults.stall * self.length)
                    continue
                size = min(size, until_stall)
            await self._ready(self.loop.add_writer, self.loop.remove_writer, self.sink)
            await self.proxy._open()
            # Before they go, so that who has received bytes finds them counted.
            self._count(size)
            try:
                sent = self.sink.send(left[:size])
            except OSError as error:
                self._count(-size)
                if isinstance(error, BlockingIOError):
                    continue
                raise
            self._count(sent - size)
            left = left[sent:]
            self.since_stall += sent
            if faults.bandwidth:
                await asyncio.sleep(sent / faults.bandwidth)

    def _count(self, size):
        if self.direction == TO_SERVER:
            self.proxy.bytes_to_server += size
        else:
            self.proxy.bytes_to_client += size

    async def _stall(self, seconds):
        end = self.loop.time() + seconds
        while self.proxy._faults.stall and not await self.proxy._until(end):
            pass
        self.gap, self.length = next(self.stalls)
        self.since_stall = 0

    async def _ready(self, add, remove, sock):
        """Waits until the socket can be read or written, without doing it."""
        if sock.fileno() < 0:  # reset meanwhile
            raise ConnectionAbortedError
        ready = self.loop.create_future()
        add(sock, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            if sock.fileno() >= 0:
                remove(sock)


EXAMPLES = """\
examples:
  tests/chaos/tcp_proxy.py --target 127.0.0.1:7001 --delay 0.2 --stall 1
      a far and moody network in front of a teacher; prints the address to give to workers
  tests/chaos/tcp_proxy.py --target 127.0.0.1:7002 --listen 127.0.0.1:8002 --bandwidth 125000
      a line of 1 Mbit/s to the coordinator
  tests/chaos/tcp_proxy.py --target 127.0.0.1:7001 --blackhole
      takes connections and says nothing
Ctrl-C ends it, and resets what is open."""


def main():
    parser = argparse.ArgumentParser(
        description="A TCP proxy that delays, stalls, slows down, swallows and resets.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, metavar="HOST:PORT", help="where to forward to")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT",
                        help="where to listen; port 0: any free (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the stalls (default %(default)s)")
    parser.add_argument("--delay", type=float, default=0, help="seconds that every byte is late")
    parser.add_argument("--stall", type=float, default=0, help="longest pause in seconds")
    parser.add_argument("--stall-bytes", type=int, default=PIECE,
                        help="mean bytes between pauses (default %(default)s)")
    parser.add_argument("--bandwidth", type=float, default=0,
                        help="bytes per second of each connection in each direction")
    parser.add_argument("--blackhole", action="store_true", help="keep sockets open, pass nothing")
    parser.add_argument("--one-way", default="", choices=[TO_CLIENT, TO_SERVER],
                        help="swallow what goes that way")
    parser.add_argument("--reset-every", type=float, default=0,
                        help="seconds after which a connection is reset")
    options = vars(parser.parse_args())
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    try:
        proxy = TcpProxy(options.pop("target"), options.pop("listen"), **options)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with proxy:
        print(proxy.address, flush=True)
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
