# SPDX-License-Identifier: MIT
"""The groups of comparisons: who takes part, and which rows come of it."""
import ours
import perftest
import qemu
from table import Row

FIGURE_MIB = 256
WHOLE = 512 << 10        # bytes of a packet
PAGE = 4 << 10
LIST = 128               # pages of a packet

FRESH = ('RAM is a file in memory on all sides (share=on in QEMU); the source maps memory that holds the '
         'content already, the destination memory that nobody has touched, anew for each turn')
MEASURED = ("own: QEMU's total-time, total_ns of multifd send; wall: from QEMU's migrate command to its end, "
            'from the start of multifd send to its end; all with setup, none with a limit of bandwidth')


class Group:
    """`nodes`: 0 is the host itself. `contents`: names of memory contents, or None for none."""
    nodes = 1
    contents = (None,)
    notes = ()

    def __init__(self, job, janitor):
        self.job = job              # see node.py
        self.janitor = janitor

    def contenders(self):
        raise NotImplementedError

    def rows(self, content):
        raise NotImplementedError

    def both_times(self, content, pairs):
        """A row for each clock."""
        for measure in ('own', 'wall'):
            for peer, mine in pairs:
                yield Row(content, peer.name, mine.name, measure, content)

    def migrations(self, transport, channels, methods=('nocomp',)):
        return {(count, method): ours.Migration(self.job['multifd'], transport, count, method)
                for method in methods for count in channels}


class Raw(Group):
    """the whole engine against a bare verbs loop, same work requests"""
    notes = (f'figure: {FIGURE_MIB} MiB of touched memory, transfer alone, no look for zero pages',)

    def contenders(self):
        return [ours.Figure(self.job['figure'], FIGURE_MIB)]

    def rows(self, content):
        for case in ('whole packets, 1', 'whole packets, 4', 'scattered, 1', 'scattered, 4'):
            yield Row(f'{case} channels', ('figure', f'raw, {case}'), ('figure', f'ours, {case}'),
                      'rate')


class Bandwidth(Group):
    """the whole engine against ib_write_bw: same message sizes, queue pairs, posting lists"""
    notes = Raw.notes + (
        "ib_write_bw: its average; its buffer is one message per queue pair and stays in the processor's "
        'cache, ours is not',)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.peers = {}
        for queues in (1, 4):
            self.peers[f'whole packets, {queues}'] = perftest.Perftest(
                'ib_write_bw', '-q', str(queues), '-s', str(WHOLE), '-n', str(2000 // queues))
            self.peers[f'scattered, {queues}'] = perftest.Perftest(
                'ib_write_bw', '-q', str(queues), '-s', str(PAGE), '-l', str(LIST), '-t', '256',
                '-n', str(128000 // queues))

    def contenders(self):
        return [ours.Figure(self.job['figure'], FIGURE_MIB), *self.peers.values()]

    def rows(self, content):
        for case, peer in self.peers.items():
            yield Row(f'{case} channels', peer.name, ('figure', f'ours, {case}'), 'rate')


class Migration(Group):
    """whole migrations against QEMU's, in one node: rdma, multifd over TCP, multifd over rsockets"""
    contents = ('random', 'guest')
    notes = (FRESH, MEASURED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = self.migrations('rdma', (1, 2, 4))
        self.rdma = [qemu.rdma(janitor, True), qemu.rdma(janitor, False)]
        self.multifd = [(channels, qemu.multifd(janitor, channels, rsockets=rsockets))
                        for rsockets in (False, True) for channels in (2, 4)]

    def contenders(self):
        """Ours between the peers, so that pairs are near each other in time."""
        first, second, third = self.mine.values()
        tcp2, tcp4, rsockets2, rsockets4 = (peer for _, peer in self.multifd)
        return [self.rdma[0], first, self.rdma[1], second, tcp2, third, tcp4, rsockets2, rsockets4]

    def rows(self, content):
        pairs = [(peer, mine) for peer in self.rdma for mine in self.mine.values()]
        pairs += [(peer, self.mine[channels, 'nocomp']) for channels, peer in self.multifd]
        return self.both_times(content, pairs)


class Sockets(Group):
    """whole migrations over TCP against QEMU's multifd, on the host itself"""
    nodes = 0
    contents = ('random', 'guest')
    notes = (FRESH, MEASURED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = self.migrations('tcp', (2, 4), ('nocomp', 'zstd'))
        self.peers = {(channels, method): qemu.multifd(janitor, channels, name)
                      for method, name in (('nocomp', 'none'), ('zstd', 'zstd'))
                      for channels in (2, 4)}

    def contenders(self):
        return [side[case] for case in self.mine for side in (self.peers, self.mine)]

    def rows(self, content):
        return self.both_times(content, [(self.peers[case], self.mine[case]) for case in self.mine])


class Wire(Group):
    """two nodes with a wire: whole migrations against QEMU's rdma"""
    nodes = 2
    contents = ('random', 'guest')
    notes = (FRESH, MEASURED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = list(self.migrations('rdma', (1, 4)).values())
        self.peers = [qemu.rdma(janitor, True), qemu.rdma(janitor, False)]

    def contenders(self):
        return [contender for pair in zip(self.peers, self.mine) for contender in pair]

    def rows(self, content):
        return self.both_times(content, [(peer, mine) for peer in self.peers for mine in self.mine])


GROUPS = {'raw': Raw, 'bandwidth': Bandwidth, 'migration': Migration, 'sockets': Sockets, 'wire': Wire}
