# SPDX-License-Identifier: MIT
"""Migrations between two QEMU, whose guest never runs and whose RAM is a file."""
import contextlib
import os
import threading
import time

import demo
from contender import Contender, Failure, digest

SECONDS = 120
SETTLE_SECONDS = 5
MIB = 1 << 20
TICK = 1 / os.sysconf('SC_CLK_TCK')
RSOCKETS = '/usr/lib/x86_64-linux-gnu/rsocket/librspreload.so'
COUNTER = '/sys/class/infiniband/{}/ports/1/hw_counters/sent_pkts'
LARGEST_PAYLOAD = 4096      # of an RDMA packet


def cpu_seconds(pid):
    """What a process has used until now, all its threads."""
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def packets_sent(device):
    with open(COUNTER.format(device), encoding='ascii') as file:
        return int(file.read())


class Machine(demo.Qemu):
    """One side of a migration."""

    def __init__(self, ram, mib, janitor, more=(), preload=None):
        environment = dict(os.environ, LD_PRELOAD=preload) if preload else None
        self.cpu = 0
        self.said = open(f'{ram}.log', 'w+', encoding='utf-8', errors='replace')
        super().__init__(['-S', *demo.ram_words(ram, mib), *more], janitor, stderr=self.said,
                         env=environment)

    def set_up(self, capabilities, parameters):
        wanted = [{'capability': name, 'state': True} for name in ('events', *capabilities)]
        self.execute('migrate-set-capabilities', {'capabilities': wanted})
        self.execute('migrate-set-parameters', {'max-bandwidth': 0, **parameters})

    def start_clock(self):
        self.cpu = cpu_seconds(self.process.pid)

    def cpu_used(self):
        return cpu_seconds(self.process.pid) - self.cpu

    def wait_for_end(self):
        """Of the migration; returns how it ended. Reading has no time limit, so QEMU gets one."""
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        try:
            while True:
                told = self.events.pop(0) if self.events else self.read()
                if told is None:
                    raise Failure(f'QEMU ended, or was ended after {SECONDS} s: {self.last_words()}')
                status = told.get('data', {}).get('status')
                if told.get('event') == 'MIGRATION' and status in ('completed', 'failed'):
                    return status
        finally:
            timer.cancel()

    def told_at_the_end(self):
        """Of the migration; QEMU says that it is over before it knows how long it has taken."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            told = self.execute('query-migrate')
            if told.get('total-time') or told['status'] != 'completed' or time.monotonic() > end:
                return told
            time.sleep(0.01)

    def last_words(self):
        self.said.seek(0)
        return (self.said.read().strip() or 'it said nothing').splitlines()[-1]

    def delete(self):
        super().delete()
        self.said.close()
        os.unlink(self.said.name)


class Migration(Contender):
    def __init__(self, name, transport, janitor, capabilities=(), parameters=None, preload=None):
        super().__init__(name)
        self.transport = transport
        self.janitor = janitor
        self.capabilities = capabilities
        self.parameters = parameters or {}
        self.preload = preload
        self.destination = None
        self.source = None

    def address(self, place, port):
        return {'uri': f'{self.transport}:{place.address}:{port}'}

    def serve(self, place):
        port = place.next_port()
        with failures():
            self.destination = Machine(place.path('destination'), place.mib, self.janitor,
                                       ['-incoming', 'defer'], self.preload)
            self.destination.set_up(self.capabilities, self.parameters)
            self.destination.start_clock()
            self.destination.execute('migrate-incoming', self.address(place, port))
        return port

    def drive(self, place, port):
        with failures():
            self.source = Machine(place.source, place.mib, self.janitor, preload=self.preload)
            self.source.set_up(self.capabilities, self.parameters)
            self.stand_beside(place, port)
            packets = packets_sent(place.device) if self.preload else 0
            told = self.migrate(self.address(place, port))
            if self.preload and packets_sent(place.device) - packets < place.mib * MIB / LARGEST_PAYLOAD:
                raise Failure('librspreload leaves the sockets of QEMU, which are made with '
                              'SOCK_CLOEXEC, to the kernel: it all went over TCP')
            return {**told, 'digest': digest(place.source)}

    def stand_beside(self, place, port):
        """At the source, whose QEMU is there: what else it takes."""

    def migrate(self, address):
        self.source.start_clock()
        began = time.monotonic()
        self.source.execute('migrate', address)
        status = self.source.wait_for_end()
        wall = time.monotonic() - began
        cpu = self.source.cpu_used()
        told = self.source.told_at_the_end()
        if status != 'completed':
            raise Failure(f'QEMU: {told.get("error-desc", status)}; {self.source.last_words()}')
        values = {'own': told['total-time'] / 1e3, 'wall': wall, 'down': told['downtime'] / 1e3}
        return {'values': values, 'cpu': cpu}

    def finish(self, place):
        with failures():
            if self.destination.wait_for_end() != 'completed':
                raise Failure(f'QEMU, destination: {self.destination.last_words()}')
            cpu = self.destination.cpu_used()
        return {'cpu': cpu, 'digest': digest(place.path('destination'))}

    def clean(self, place):
        for machine in filter(None, (self.source, self.destination)):
            machine.delete()
        self.source = self.destination = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.path('destination'))


@contextlib.contextmanager
def failures():
    """QEMU's are the contender's."""
    try:
        yield
    except (demo.DemoError, OSError) as error:
        raise Failure(str(error)) from None


def rdma(janitor, pin_all):
    name = f'QEMU rdma, {"pin-all" if pin_all else "dynamic"}'
    return Migration(name, 'rdma', janitor, ['rdma-pin-all'] if pin_all else [])


def multifd(janitor, channels, method='none', rsockets=False):
    over = 'rsockets' if rsockets else 'tcp'
    name = f'QEMU multifd, {over}, {channels} channels' + (f', {method}' if method != 'none' else '')
    return Migration(name, 'tcp', janitor, ['multifd'],
                     {'multifd-channels': channels, 'multifd-compression': method},
                     RSOCKETS if rsockets else None)
