# SPDX-License-Identifier: MIT
"""Our side of a migration: the command, with files in memory."""
import contextlib
import hashlib
import os
import random
import re
import time

import contents
import session
from contender import Contender, await_ready, digest, ended_well

SECONDS = 120
LOOK_SECONDS = 0.005
MIB = 1 << 20
GIB = 1 << 30


class Migration(Contender):
    """multifd recv and multifd send with files in memory."""

    def __init__(self, multifd, transport, channels, method='nocomp', registration='all'):
        more = ''.join(f', {word}' for word, usual in ((method, 'nocomp'), (registration, 'all'))
                       if word != usual)
        super().__init__(f'multifd {transport}, {channels} channel{"s"[:channels > 1]}{more}')
        self.multifd = multifd
        self.transport = transport
        self.words = ['--channels', str(channels), '--method', method, '--registration', registration]
        self.recv = None
        self.send = None

    def address(self, place, port):
        return f'{self.transport}:{place.address}:{port}'

    def command(self, name, address, ram):
        return [self.multifd, name, address, '--ram', f'pc.ram={ram}', '--json', '--quiet']

    def serve(self, place):
        port = place.next_port()
        self.recv = session.Server(self.command('recv', self.address(place, port), place.path('destination')),
                                   place.path('ready'))
        await_ready(self.recv, 'recv is not ready')
        return port

    def drive(self, place, port):
        began = time.monotonic()
        self.send = session.Program([*self.command('send', self.address(place, port), place.source),
                                     *self.words])
        self.watch(SECONDS)
        wall = time.monotonic() - began
        result, self.send = self.send.wait(0), None
        report = ended_well(result, SECONDS).report()
        return {'values': {'own': report['total_ns'] / 1e9, 'wall': wall}, 'cpu': result.cpu,
                'digest': self.digest(place.source), 'report': report}

    def digest(self, path):
        return digest(path)

    def watch(self, seconds):
        """Until the source ends."""
        self.send.has_ended(seconds)

    def finish(self, place):
        result, self.recv = self.recv.wait(SECONDS), None
        report = ended_well(result, SECONDS).report()
        return {'cpu': result.cpu, 'digest': self.digest(place.path('destination')), 'report': report}

    def clean(self, place):
        for program in filter(None, (self.send, self.recv)):
            program.wait(0)
        self.send = self.recv = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.path('destination'))


class Sparse(Migration):
    """A guest of which one part in 64 has content; what it takes for each GiB, and beside its memory."""

    def __init__(self, multifd, channels, gib):
        super().__init__(multifd, 'rdma', channels, registration='on-demand')
        self.name = f'{self.name}, {gib} GiB'
        self.gib = gib
        self.most = [0, 0]      # MiB, of the destination and the source

    def serve(self, place):
        place.source = place.path('sparse')
        make_sparse(place.source, self.gib)
        self.most = [0, 0]
        return super().serve(place)

    def watch(self, seconds):
        end = time.monotonic() + seconds
        while not self.send.has_ended(LOOK_SECONDS) and time.monotonic() < end:
            now = [memory_of(program.process.pid) for program in (self.recv, self.send)]
            self.most = [max(pair) for pair in zip(self.most, now)]

    def digest(self, path):
        """Of what is not zero, and where: reading the holes of so many GiB would take minutes."""
        total = hashlib.sha256()
        with open(path, 'rb') as file:
            for start, end in contents.extents(path):
                for at in range(start - start % MIB, end, MIB):
                    file.seek(at)
                    data = file.read(MIB)
                    if any(data):
                        total.update(b'%d' % at + data)
        return total.hexdigest()

    def drive(self, place, port):
        told = super().drive(place, port)
        values = {'own/GiB': told['values']['own'] / self.gib, 'memory': sum(self.most)}
        return {**told, 'values': values}

    def clean(self, place):
        super().clean(place)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.path('sparse'))


def make_sparse(path, gib):
    """16 MiB of content at the start of each GiB, and holes."""
    content = random.randbytes(GIB // 64)   # the kernel's take far longer
    with open(path, 'wb') as file:
        file.truncate(gib * GIB)
        for at in range(gib):
            file.seek(at * GIB)
            file.write(content)


def memory_of(pid):
    """MiB of memory that a process has made for itself: the guest's is a file, and so is the program."""
    try:
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            found = re.search(r'^RssAnon:\s+(\d+) kB$', file.read(), re.MULTILINE)
    except FileNotFoundError:
        return 0
    return int(found[1]) / 1024 if found else 0     # none: it is about to end
