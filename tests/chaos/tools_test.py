#!/usr/bin/env python3
"""The chaos tools do what they say: a proxy that misbehaves on demand, a killer with a plan."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import process_killer
import tcp_proxy
from process_killer import ProcessKiller, Strike, plan
from tcp_proxy import TO_CLIENT, TO_SERVER, Faults, TcpProxy, stalls

PATIENCE = 20  # seconds before a wait is given up: far above what a busy machine needs
QUIET = 0.2  # seconds in which nothing may come


class EchoServer:
    """Sends back what it gets; keeps what came, also of connections that are gone."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.received = bytearray()
        self.ends = []  # how each connection ended: "closed" or "reset"
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(peer,), daemon=True).start()

    def _echo(self, peer):
        end = "closed"
        with peer:
            try:
                while data := peer.recv(65536):
                    with self.changed:
                        self.received += data
                        self.changed.notify_all()
                    peer.sendall(data)
            except ConnectionError:
                end = "reset"
        with self.changed:
            self.ends.append(end)
            self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            return self.changed.wait_for(lambda: condition(self), PATIENCE)

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # close alone leaves the thread in accept
        except OSError:
            pass
        self.listener.close()


class ProxyTestCase(unittest.TestCase):
    def setUp(self):
        self.server = EchoServer()
        self.addCleanup(self.server.close)

    def proxy(self, **options):
        proxy = TcpProxy(self.server.address, **options)
        self.addCleanup(proxy.close)
        return proxy

    def client(self, proxy):
        client = socket.create_connection(tcp_proxy.parse_address(proxy.address), PATIENCE)
        self.addCleanup(client.close)
        return client

    def read(self, client, size):
        data = bytearray()
        while len(data) < size:
            piece = client.recv(size - len(data))
            if not piece:
                break
            data += piece
        return bytes(data)

    def echo(self, client, data):
        client.sendall(data)
        self.assertEqual(self.read(client, len(data)), data)

    def seconds_of(self, function):
        start = time.monotonic()
        function()
        return time.monotonic() - start

    def assertSilent(self, client):
        client.settimeout(QUIET)
        with self.assertRaises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)


class ProxyTest(ProxyTestCase):
    def test_bytes_go_both_ways_unchanged_and_are_counted(self):
        proxy = self.proxy()
        data = random.Random(1).randbytes(3_000_000)
        client = self.client(proxy)
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        self.assertEqual(self.read(client, len(data)), data)
        sender.join()
        self.assertEqual(proxy.bytes_to_server, len(data))
        self.assertEqual(proxy.bytes_to_client, len(data))
        self.assertEqual((proxy.connection_count, proxy.open_connections), (1, 1))
        self.echo(self.client(proxy), b"second")
        self.assertEqual((proxy.connection_count, proxy.open_connections), (2, 2))

    def test_the_end_of_one_direction_is_passed_on_after_its_bytes(self):
        proxy = self.proxy(delay=0.05)
        client = self.client(proxy)
        client.sendall(b"last words")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(self.read(client, 100), b"last words")  # then the echo's own end
        self.assertTrue(self.server.wait(lambda s: s.ends == ["closed"]))

    def test_a_target_that_nobody_serves_resets_the_client(self):
        self.server.close()
        with self.assertRaises(ConnectionResetError):
            self.client(self.proxy()).recv(1)

    def test_a_delay_makes_every_byte_late_but_no_slower(self):
        proxy = self.proxy()
        client = self.client(proxy)
        self.echo(client, b"fast")
        proxy.set(delay=0.2)
        self.assertGreaterEqual(self.seconds_of(lambda: self.echo(client, b"late")), 0.4)
        # Sixteen pieces are late together, not one after the other (16 * 0.4 = 6.4 s).
        many = self.seconds_of(lambda: self.echo(client, bytes(16 * tcp_proxy.PIECE)))
        self.assertGreaterEqual(many, 0.4)
        self.assertLess(many, 3)
        proxy.set(delay=0)
        self.echo(client, b"fast again")

    def test_bandwidth_is_a_ceiling(self):
        proxy = self.proxy(bandwidth=100_000)
        client = self.client(proxy)
        # 40,000 bytes at 100,000 a second: 0.4 s, less the slice that is sent at once.
        self.assertGreaterEqual(self.seconds_of(lambda: self.echo(client, bytes(40_000))), 0.35)

    def test_a_slow_line_pushes_back(self):
        proxy = self.proxy(bandwidth=1000)
        client = self.client(proxy)
        client.settimeout(QUIET)
        sent = 0
        with self.assertRaises(TimeoutError):
            while True:
                sent += client.send(bytes(tcp_proxy.PIECE))
        # No more than the buffers of the kernel take.
        self.assertLess(sent - proxy.bytes_to_server, 8_000_000)
        self.assertLess(proxy.bytes_to_server, 5000)

    def test_stalls_lengthen_but_change_nothing(self):
        proxy = self.proxy(seed=3, stall=0.1, stall_bytes=1000)
        client = self.client(proxy)
        data = random.Random(2).randbytes(5000)
        seconds = self.seconds_of(lambda: self.echo(client, data))

        def first_way(direction):
            position, total = 0, 0.0
            for gap, length in stalls(3, 0, direction):
                position += int(gap * 1000) + 1
                if position >= len(data):
                    return total
                total += 0.1 * length
        # Both directions pause as planned; they overlap at most wholly.
        expected = max(first_way(TO_SERVER), first_way(TO_CLIENT))
        self.assertGreater(expected, 0.05)
        self.assertGreaterEqual(seconds, expected)

    def test_stalls_are_a_function_of_seed_connection_and_direction(self):
        def first(*arguments):
            plan = stalls(*arguments)
            return [next(plan) for _ in range(5)]
        self.assertEqual(first(1, 0, TO_CLIENT), first(1, 0, TO_CLIENT))
        others = [first(2, 0, TO_CLIENT), first(1, 1, TO_CLIENT), first(1, 0, TO_SERVER)]
        self.assertNotIn(first(1, 0, TO_CLIENT), others)

    def test_a_black_hole_keeps_sockets_open_and_passes_nothing(self):
        proxy = self.proxy()
        client = self.client(proxy)
        self.echo(client, b"before")
        proxy.set(blackhole=True)
        counted = proxy.bytes_to_server, proxy.bytes_to_client
        client.sendall(b"into the hole")
        newcomer = self.client(proxy)
        newcomer.sendall(b"me too")
        self.assertSilent(client)
        self.assertSilent(newcomer)
        self.assertEqual((proxy.bytes_to_server, proxy.bytes_to_client), counted)
        self.assertEqual(bytes(self.server.received), b"before")
        self.assertEqual(self.server.ends, [])
        proxy.set(blackhole=False)
        self.assertEqual(self.read(client, 13), b"into the hole")
        self.assertEqual(self.read(newcomer, 6), b"me too")

    def test_a_black_hole_also_takes_what_was_on_its_way(self):
        proxy = self.proxy(delay=0.1)
        client = self.client(proxy)
        self.echo(client, b"before")
        client.sendall(b"on its way")
        proxy.set(blackhole=True)
        self.assertSilent(client)
        self.assertEqual(bytes(self.server.received), b"before")

    def test_one_way_swallows_answers_only(self):
        proxy = self.proxy()
        client = self.client(proxy)
        self.echo(client, b"before")
        proxy.set(one_way=TO_CLIENT)
        client.sendall(b"question")
        self.assertTrue(self.server.wait(lambda s: s.received.endswith(b"question")))
        self.assertSilent(client)
        self.assertEqual(proxy.bytes_to_client, len(b"before"))
        proxy.set(one_way="")
        self.echo(client, b"after")  # what was swallowed is gone

    def test_one_way_swallows_questions_only(self):
        proxy = self.proxy(one_way=TO_SERVER)
        client = self.client(proxy)
        client.sendall(b"question")
        self.assertSilent(client)
        self.assertEqual(bytes(self.server.received), b"")
        self.assertEqual(proxy.bytes_to_server, 0)

    def test_resets_are_seen_as_resets_at_both_ends(self):
        proxy = self.proxy()
        clients = [self.client(proxy) for _ in range(3)]
        for client in clients:
            self.echo(client, b"hello")
        self.assertEqual(proxy.reset_all(), 3)
        for client in clients:
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
        self.assertTrue(self.server.wait(lambda s: s.ends == ["reset"] * 3), self.server.ends)
        self.assertEqual(proxy.open_connections, 0)
        self.echo(self.client(proxy), b"welcome back")

    def test_each_connection_is_reset_when_it_is_old_enough(self):
        proxy = self.proxy(reset_every=0.3)
        for _ in range(2):
            start = time.monotonic()
            client = self.client(proxy)
            self.echo(client, b"hello")
            with self.assertRaises(ConnectionResetError):
                client.recv(1)
            # The proxy may have taken the connection a little before connect returned here.
            self.assertGreaterEqual(time.monotonic() - start, 0.25)

    def test_resets_can_be_switched_on_while_a_connection_lives(self):
        proxy = self.proxy()
        client = self.client(proxy)
        self.echo(client, b"hello")
        proxy.set(reset_every=0.05)
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        proxy.clear()
        survivor = self.client(proxy)
        self.echo(survivor, b"hello")
        self.assertSilent(survivor)  # four times the age at which it was reset before

    def test_a_server_that_dies_is_seen_by_its_client(self):
        script = "import socket,sys; s=socket.create_server(('127.0.0.1',0)); " \
                 "print(s.getsockname()[1], flush=True); p,_=s.accept(); p.sendall(b'x'); p.recv(9)"
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                              text=True) as child:
            with TcpProxy("127.0.0.1:" + child.stdout.readline().strip()) as proxy:
                client = self.client(proxy)
                self.assertEqual(client.recv(1), b"x")
                child.kill()
                try:
                    self.assertEqual(client.recv(1), b"")
                except ConnectionResetError:
                    pass

    def test_closing_the_proxy_resets_and_refuses(self):
        proxy = self.proxy()
        client = self.client(proxy)
        self.echo(client, b"hello")
        proxy.close()
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        with self.assertRaises(ConnectionRefusedError):
            self.client(proxy)

    def test_faults_that_make_no_sense_are_refused(self):
        for bad in (dict(delay=-1), dict(bandwidth=float("nan")), dict(one_way="sideways"),
                    dict(stall_bytes=0)):
            with self.assertRaises(ValueError):
                Faults(**bad)
        proxy = self.proxy()
        with self.assertRaises(ValueError):
            proxy.set(delay=-1)
        with self.assertRaises(TypeError):
            proxy.set(gremlins=True)
        for address in ("", "localhost", "127.0.0.1:", ":80", "127.0.0.1:99999"):
            with self.assertRaises(ValueError):
                TcpProxy(address)

    def test_the_command_line_prints_its_address_and_forwards(self):
        with subprocess.Popen([sys.executable, tcp_proxy.__file__, "--target", self.server.address,
                               "--delay", "0.1"], stdout=subprocess.PIPE, text=True) as child:
            address = child.stdout.readline().strip()
            with socket.create_connection(tcp_proxy.parse_address(address), PATIENCE) as client:
                self.assertGreaterEqual(self.seconds_of(lambda: self.echo(client, b"hello")), 0.2)
            child.terminate()
            self.assertEqual(child.wait(PATIENCE), 0)


class FakeProcess:
    """As subprocess.Popen, of a process that heeds signals at once."""

    pids = 100

    def __init__(self):
        FakeProcess.pids += 1
        self.pid = FakeProcess.pids
        self.signals = []
        self.code = None

    def send_signal(self, number):
        self.signals.append(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.code = -number

    def poll(self):
        return self.code

    def wait(self, timeout):
        return self.code


class FakeTime:
    now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class PlanTest(unittest.TestCase):
    def test_a_plan_is_a_pure_function_of_its_arguments(self):
        random.seed(5)
        first = plan(1, ["a", "b"], 10, process_killer.ACTIONS)
        random.seed(6)
        self.assertEqual(plan(1, ["a", "b"], 10, process_killer.ACTIONS), first)
        self.assertNotEqual(plan(2, ["a", "b"], 10, process_killer.ACTIONS), first)

    def test_a_plan_stays_the_same_over_versions(self):
        # Numbers that reports name: made once, and kept.
        self.assertEqual(plan(1, ["a", "b"], 3),
                         [Strike(0.159416, "a"), Strike(0.430893, "a"), Strike(0.995498, "b")])

    def test_every_part_of_the_time_has_one_strike(self):
        strikes = plan(4, ["a"], 20)
        self.assertEqual([int(strike.at * 20) for strike in strikes], list(range(20)))

    def test_all_roles_and_actions_come_up(self):
        strikes = plan(1, ["a", "b", "c"], 100, process_killer.ACTIONS)
        self.assertEqual({strike.role for strike in strikes}, {"a", "b", "c"})
        self.assertEqual({strike.action for strike in strikes}, set(process_killer.ACTIONS))
        for strike in strikes:
            if strike.action == "pause":
                self.assertTrue(0.5 <= strike.pause_seconds <= 2, strike)
            else:
                self.assertEqual(strike.pause_seconds, 0)

    def test_the_command_line_prints_the_plan(self):
        printed = subprocess.run([sys.executable, process_killer.__file__, "--seed", "1", "--roles",
                                  "a,b", "--count", "3"], check=True, text=True,
                                 stdout=subprocess.PIPE, timeout=PATIENCE).stdout
        self.assertEqual([Strike(**json.loads(line)) for line in printed.splitlines()],
                         plan(1, ["a", "b"], 3))


class KillerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log_path = os.path.join(folder.name, "killer.jsonl")
        self.time = FakeTime()
        self.started = []

    def killer(self, processes, **options):
        return ProcessKiller(processes, log=self.log_path, clock=self.time.clock,
                             sleep=self.time.sleep, **options)

    def restart(self, role):
        self.started.append((round(self.time.now, 1), role))
        return FakeProcess()

    def log(self):
        with open(self.log_path) as file:
            return [json.loads(line) for line in file]

    def test_strikes_come_at_their_moments_and_processes_come_back(self):
        first, other = FakeProcess(), FakeProcess()
        killer = self.killer({"a": first, "b": other}, restart=self.restart)
        strikes = [Strike(0.2, "a"), Strike(0.5, "b", "terminate"), Strike(0.9, "a")]
        self.assertEqual(killer.run(strikes, seconds=10), strikes)
        self.assertEqual(self.started, [(2.0, "a"), (5.0, "b"), (9.0, "a")])
        self.assertEqual(first.signals, [signal.SIGKILL])
        self.assertEqual(other.signals, [signal.SIGTERM])
        lines = self.log()
        self.assertEqual([strike["at"] for strike in lines[0]["plan"]], [0.2, 0.5, 0.9])
        self.assertEqual([(line["role"], line["action"], line["exit_code"]) for line in lines[1:]],
                         [("a", "kill", -9), ("b", "terminate", -15), ("a", "kill", -9)])
        self.assertEqual(lines[1]["pid"], first.pid)
        self.assertEqual(lines[3]["pid"], lines[1]["new_pid"])

    def test_a_paused_process_goes_on_after_its_pause(self):
        process = FakeProcess()
        killer = self.killer({"a": process})
        killer.run([Strike(0.1, "a", "pause", pause_seconds=3)], seconds=10)
        self.assertEqual(process.signals, [signal.SIGSTOP, signal.SIGCONT])
        self.assertAlmostEqual(self.time.now, 4, delta=0.1)

    def test_no_process_stays_paused_when_the_work_is_over(self):
        process = FakeProcess()
        killer = self.killer({"a": process})
        killer.run([Strike(0.1, "a", "pause", pause_seconds=300)], seconds=10,
                   over=lambda: self.time.now > 5)
        self.assertEqual(process.signals, [signal.SIGSTOP, signal.SIGCONT])
        self.assertLess(self.time.now, 6)

    def test_nothing_is_struck_once_the_work_is_over(self):
        process = FakeProcess()
        killer = self.killer({"a": process}, restart=self.restart)
        done = killer.run([Strike(0.1, "a"), Strike(0.9, "a")], seconds=10,
                          over=lambda: self.time.now > 5)
        self.assertEqual(done, [Strike(0.1, "a")])

    def test_strikes_can_wait_for_what_is_seen(self):
        killer = self.killer({"a": FakeProcess()}, restart=self.restart)
        rounds = {0: 3.0, 1: 7.0}
        killer.run_when([Strike(0, "a"), Strike(1, "a")],
                        lambda strike: self.time.now >= rounds[strike.at])
        self.assertEqual(self.started, [(3.0, "a"), (7.0, "a")])

    def test_what_stays_down_is_not_struck_again(self):
        killer = self.killer({"a": FakeProcess()})
        self.assertEqual(killer.run([Strike(0, "a"), Strike(0.1, "a")], seconds=1),
                         [Strike(0, "a")])
        self.assertEqual(self.log()[2]["skipped"], "it is down")

    def test_a_process_that_ended_by_itself_is_an_error(self):
        process = FakeProcess()
        process.code = 3
        with self.assertRaisesRegex(RuntimeError, "a ended by itself with 3"):
            self.killer({"a": process}).strike(Strike(0, "a"))

    def test_real_processes_are_killed_paused_and_told_to_stop(self):
        def sleeper(_role="s"):
            child = subprocess.Popen(["sleep", "600"])
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            return child

        killer = ProcessKiller({"s": sleeper()}, restart=sleeper)
        killer.run([Strike(0, "s"), Strike(0, "s", "terminate"),
                    Strike(0, "s", "pause", pause_seconds=0.05)], seconds=1)
        self.assertEqual(len(killer.done), 3)
        self.assertIsNone(killer.processes["s"].poll())
        killer.strike(Strike(0, "s", "pause", pause_seconds=600))
        _, status = os.waitpid(killer.processes["s"].pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        killer.strike(Strike(0, "s", "terminate"))  # a stopped process is woken to hear it


if __name__ == "__main__":
    unittest.main()
