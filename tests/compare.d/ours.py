# SPDX-License-Identifier: MIT
"""Our side of a migration: the command, with files in memory."""
import contextlib
import os
import time

import session
from contender import Contender, Failure, digest, ended_well, last_line

SECONDS = 120


class Migration(Contender):
    """multifd recv and multifd send with files in memory."""

    def __init__(self, multifd, transport, channels, method='nocomp'):
        more = f', {method}' if method != 'nocomp' else ''
        super().__init__(f'multifd {transport}, {channels} channel{"s"[:channels > 1]}{more}')
        self.multifd = multifd
        self.transport = transport
        self.words = ['--channels', str(channels), '--method', method]
        self.recv = None
        self.send = None

    def address(self, place, port):
        return f'{self.transport}:{place.address}:{port}'

    def start(self, command, address, ram, *more):
        return session.Program([self.multifd, command, address, '--ram', f'pc.ram={ram}', '--json',
                                '--quiet', *more])

    def serve(self, place):
        port = place.next_port()
        ready = place.path('ready')
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready)
        self.recv = self.start('recv', self.address(place, port), place.path('destination'),
                               '--ready', ready)
        end = time.monotonic() + 10
        while not (os.path.exists(ready) and os.path.getsize(ready)):
            if self.recv.has_ended(0.01) or time.monotonic() > end:
                result, self.recv = self.recv.wait(0), None
                raise Failure(f'recv is not ready: {last_line(result)}')
        return port

    def drive(self, place, port):
        began = time.monotonic()
        self.send = self.start('send', self.address(place, port), place.source, *self.words)
        self.send.has_ended(SECONDS)
        wall = time.monotonic() - began
        result, self.send = self.send.wait(0), None
        report = ended_well(result, SECONDS).report()
        return {'values': {'own': report['total_ns'] / 1e9, 'wall': wall}, 'cpu': result.cpu,
                'digest': digest(place.source), 'report': report}

    def finish(self, place):
        result, self.recv = self.recv.wait(SECONDS), None
        report = ended_well(result, SECONDS).report()
        return {'cpu': result.cpu, 'digest': digest(place.path('destination')), 'report': report}

    def clean(self, place):
        for program in filter(None, (self.send, self.recv)):
            program.wait(0)
        self.send = self.recv = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.path('destination'))
