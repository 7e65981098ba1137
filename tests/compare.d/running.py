# SPDX-License-Identifier: MIT
"""Migrations of a guest that runs and keeps writing its memory: the rewriter's, see tests/lab."""
import os
import shutil
import time

import bridges
import machine
import migration
from contender import Contender, Failure
from orders import is_over
from qemu import cpu_seconds

SECONDS = 120


class Plain(Contender):
    """From QEMU to QEMU, which keep their limit of downtime and have none of bandwidth."""

    def __init__(self, name, saved, transport, **capabilities):
        super().__init__(name)
        self.saved = saved      # the folder with the guest
        self.transport = transport
        self.capabilities = capabilities
        self.source = None
        self.destination = None
        self.way = None
        self.cpu = {}

    def make_way(self, place, _folder, port):
        return migration.Plain(f'{self.transport}:{place.address}:{port}', 4)

    def serve(self, place):
        port = place.next_port()
        folder = place.path('running')
        os.makedirs(folder)
        try:
            self.source = machine.load(self.saved, folder)
            self.destination = machine.Machine(folder, 1, ['-S', '-incoming', 'defer'])
            self.way = self.make_way(place, folder, port)
            for side in self.machines():
                side.capabilities(**self.capabilities)
                side.parameters(multifd_channels=self.way.channels, max_bandwidth=0)
            self.destination.execute('migrate-incoming', {'uri': self.way.incoming})
            self.way.start(self.source, self.destination)
        except machine.MachineError as error:
            raise Failure(str(error)) from None
        self.cpu = {side: cpu_seconds(side.program.process.pid) for side in self.machines()}
        return port

    def machines(self):
        return [side for side in (self.source, self.destination) if side]

    def cpu_used(self, side):
        return cpu_seconds(side.program.process.pid) - self.cpu[side]

    def drive(self, place, port):
        began = time.monotonic()
        try:
            self.source.migrate(self.way.outgoing)
            told = self.source.wait_for_migration(is_over, SECONDS)
        except machine.MachineError as error:
            raise Failure(str(error)) from None
        wall = time.monotonic() - began
        if told['status'] != 'completed':
            raise Failure(f'QEMU: {told.get("error-desc", told["status"])}')
        values = {'own': told['total-time'] / 1e3, 'wall': wall, 'down': told['downtime'] / 1e3}
        return {'values': values, 'cpu': self.cpu_used(self.source) + self.cpu_of_bridge('source')}

    def cpu_of_bridge(self, _name):
        return 0

    def finish(self, place):
        try:
            told = self.destination.wait_for_migration(is_over, SECONDS)
        except machine.MachineError as error:
            raise Failure(str(error)) from None
        cpu = self.cpu_used(self.destination) + self.cpu_of_bridge('destination')
        problems = [] if told['status'] == 'completed' else [f'the destination: {told}']
        problems += self.way.end()
        problems = problems or migration.compare(place.path('running'), 0, 1)[0]
        if problems:
            raise Failure(str(problems[0]))
        return {'cpu': cpu}

    def clean(self, place):
        if self.way:
            self.way.abandon()
        for side in self.machines():
            side.end()
        self.source = self.destination = self.way = None
        shutil.rmtree(place.path('running'), ignore_errors=True)


class Bridged(Plain):
    """The same over two bridges, which know the guest's RAM."""

    def __init__(self, name, saved, multifd):
        super().__init__(name, saved, 'unix', multifd=True, return_path=True)
        self.multifd = multifd

    def make_way(self, place, folder, port):
        return bridges.Bridges(self.multifd, folder, port, 4, host=place.address)

    def cpu_of_bridge(self, name):
        """When it has ended, which it does with the migration."""
        side = {each.name: each for each in self.way.sides()}[name]
        return side.end().cpu
