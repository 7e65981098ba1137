# SPDX-License-Identifier: MIT
"""Two `multifd bridge` between the QEMUs of a migration, and what they report."""
import contextlib
import os
import signal

import session
from machine import BLOCKS

READY_SECONDS = 10
END_SECONDS = 10         # that a bridge has when the migration is over

# Which blocks' files each side is told of: name: (the source, the destination).
ALL = tuple(BLOCKS)
KNOWN = {'both': (ALL, ALL), 'destination': ((), ALL), 'nowhere': ((), ()),
         'one on both, one at the destination': (ALL[:1], ALL),
         'one on both, one nowhere': (ALL[:1], ALL[:1]),
         'one at the destination, one nowhere': ((), ALL[:1])}


class Side:
    """One bridge."""

    def __init__(self, multifd, name, folder, addresses, machine, blocks, more):
        """`machine` is the QEMU beside it, of which it is told these blocks."""
        self.name = name
        words = [f'{block}={machine.ram(block)}' for block in blocks]
        words = [word for block in words for word in ('--ram', block)]
        self.program = session.Server([multifd, 'bridge', name, *addresses, *words, '--json', '--quiet',
                                       *more], os.path.join(folder, f'ready-{name}'))

    def wait_until_ready(self):
        self.program.wait_until(self.program.is_ready, READY_SECONDS)

    def signal(self, number):
        with contextlib.suppress(OSError):
            self.program.signal(number)

    def end(self, seconds=END_SECONDS):
        """Its Result, when it has ended or the time is up."""
        return self.program.wait(seconds)

    def problems(self):
        result = self.end()
        if result.status == 0 and not result.lines():
            return []
        return [f'bridge {self.name}: {result}']


class Bridges:
    """A way for a migration; see migration.Plain."""
    drives = False

    def __init__(self, multifd, folder, port, channels=2, method='none', known='both', host=None, limit=None):
        self.multifd = multifd
        self.folder = folder
        self.rdma = f'rdma:{host or os.environ["LAB_ADDRESS"]}:{port}'
        self.incoming = f'unix:{os.path.join(folder, "incoming")}'
        self.outgoing = f'unix:{os.path.join(folder, "outgoing")}'
        self.channels = channels
        self.method = method
        self.known = known
        self.limit = limit       # of silence, as --timeout takes it
        self.source = None
        self.destination = None

    def start(self, source, destination):
        """Both stand between these two QEMUs then, and wait."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.outgoing.removeprefix('unix:'))
        self.start_destination(destination)
        self.start_source(source)

    def start_destination(self, machine):
        self.destination = Side(self.multifd, 'destination', self.folder, [self.rdma, self.incoming],
                                machine, KNOWN[self.known][1], self.more(machine))
        self.destination.wait_until_ready()

    def start_source(self, machine):
        self.source = Side(self.multifd, 'source', self.folder, [self.outgoing, self.rdma], machine,
                           KNOWN[self.known][0], self.more(machine))
        self.source.wait_until_ready()

    def more(self, _machine):
        """Options for the bridge beside that QEMU."""
        return ['--channels', str(self.channels), *(['--timeout', self.limit] if self.limit else [])]

    def sides(self):
        return [side for side in (self.source, self.destination) if side]

    def end(self):
        problems = [problem for side in self.sides() for problem in side.problems()]
        return problems or self.check_reports()

    def abandon(self):
        for side in self.sides():
            side.signal(signal.SIGKILL)
            side.end()

    def check_reports(self):
        """Pages went the best way that was possible."""
        source, destination = (side.program.result.report() for side in self.sides())
        blocks = [set(names) for names in KNOWN[self.known]]
        can = self.method == 'none'
        wanted = {'direct_pages': can and bool(blocks[0] & blocks[1]),
                  'buffered_pages': can and bool(blocks[1] - blocks[0])}
        found = {name: max(source[name], destination[name]) for name in wanted}
        problems = [f'{name}: {found[name]}' for name in wanted if bool(found[name]) != wanted[name]]
        if source['dropped_bytes'] != source['direct_bytes']:
            problems.append(f'{source["dropped_bytes"]} bytes dropped, {source["direct_bytes"]} written')
        if source['result'] != 'done' or destination['result'] != 'done':
            problems.append('not done')
        return problems


class Driven(Bridges):
    """The bridges set QEMU up, and start the migration."""
    drives = True

    def more(self, machine):
        """Of a running guest, whose QEMU is the source, how fast it may go, too."""
        words = ['--channels', str(self.channels), '--qmp', machine.qmp, '--multifd-compression', self.method]
        if machine.status() == 'running':
            words += ['--max-bandwidth', '160M', '--downtime-limit', '1ms']
        return words
