# SPDX-License-Identifier: MIT
"""The groups of comparisons: who takes part, and which rows come of it."""
import bench
import bridge
import ours
import perftest
import qemu
import running
from contents import GUESTS
from table import Row

MIB = 256                # of guest memory that is sent again and again
PASSES = 4               # of it, where an average is told
KIB = 1 << 10
PACKET = 512 * KIB
PAGE = 4 * KIB
HEADER = 328             # of a packet with one page
SIZES = (PACKET, 64 * KIB, PAGE)
ITERATIONS = 1000

FRESH = ('RAM is a file in memory on all sides (share=on in QEMU); the source maps memory that holds the '
         'content already, the destination memory that nobody has touched, anew for each turn')
MEASURED = ("own: QEMU's total-time, total_ns of multifd send; wall: from QEMU's migrate command to its end, "
            'from the start of multifd send to its end; all with setup, none with a limit of bandwidth')
BRIDGED = ("over bridges, processor time is QEMU's and that of the bridge beside it, whose setup is not in "
           "QEMU's times")
RUNNING = ('a guest that writes: 128 MiB in software emulation; down: its downtime, of which QEMU allows itself '
           "300 ms; processor time is both QEMUs', with the guest's own")
FLOOR = ('bare verbs: the least that a migration can take; the pages that are not zero at the rate of bench raw '
         '(two processes, 1 channel, whole packets), and the registration of as much untouched memory')
HOLES = ('guest: all of its memory is in place, as after a long time; fresh guest: as its file was when it '
         'had booted, with holes where it never touched it, made anew for each turn')
TOUCHED = (f'bench bandwidth: {MIB} MiB of touched memory, transfer alone, no look for zero pages; its '
           'processor time has all of the setup in it')
CACHED = (f'against ib_write_bw: the average of {PASSES} passes; its average, of as many bytes; its buffer is one '
          "message per queue pair and stays in the processor's cache, ours is not")
GROWN = ('growth: a sparse guest, 16 MiB of content in each GiB; memory: the most anonymous memory that both '
         "processes had; the guest's is in files")
LATENCIES = ('p50 of perftest is from one side to the other; ib_send_lat of a header stands for our SEND, '
             'twice where we wait for an answer, too; ours does not poll where there is one processor')


def writes(size, queues):
    """ib_write_bw with the messages of a packet in one post, and as many bytes as the session sends."""
    in_packet = PACKET // size
    words = ['-q', str(queues), '-s', str(size), '-n', str((PASSES * MIB << 20) // size // queues)]
    lists = ['-l', str(in_packet), '-t', str(max(128, 2 * in_packet))]
    name = f'ib_write_bw {size // KIB} KiB, {queues} queue pair{"s"[:queues > 1]}'
    return perftest.Perftest(name, 'ib_write_bw', *words, *(lists if in_packet > 1 else []))


def latency(program, size, *more):
    name = ' '.join([program, f'{size} B', *more])
    return perftest.Perftest(name, program, '-s', str(size), '-n', str(ITERATIONS), *more)


class Group:
    """`nodes`: 0 is the host itself. `contents`: names of memory contents; None is none."""
    nodes = 1
    room = None             # what /dev/shm of a node may hold, if more than usual, as mount's option size has it
    contents = (None,)
    runs = False            # whether a guest that runs is needed
    notes = ()

    def __init__(self, job, janitor):
        self.job = job              # see node.py
        self.multifd = job['multifd']
        self.janitor = janitor

    def contenders(self, content):
        raise NotImplementedError

    def rows(self, content):
        raise NotImplementedError

    def both_times(self, content, pairs):
        """A row for each clock."""
        for measure in ('own', 'wall'):
            for peer, mine in pairs:
                yield Row(content, peer.name, mine.name, measure, content)

    def bandwidths(self):
        """Pairs of ib_write_bw and the session: same message sizes, queue pairs, posting lists."""
        return [(writes(size, channels), bench.bandwidth(self.multifd, size, channels, MIB, PASSES, raw=False))
                for size in SIZES for channels in (1, 2, 4)]

    def migrations(self, transport, channels, methods=('nocomp',)):
        return {(count, method): ours.Migration(self.multifd, transport, count, method)
                for method in methods for count in channels}


class Raw(Group):
    """the whole engine against a bare verbs loop, same work requests"""
    notes = (TOUCHED,)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = [bench.bandwidth(self.multifd, size, channels, MIB)
                     for size in SIZES for channels in (1, 2, 4)]

    def contenders(self, content):
        return self.mine

    def rows(self, content):
        for mine in self.mine:
            yield Row('bare loop', (mine.name, 'raw'), (mine.name, 'rate'), 'rate')


class Bandwidth(Group):
    """the whole engine against ib_write_bw: same message sizes, queue pairs, posting lists"""
    notes = (TOUCHED, CACHED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.pairs = self.bandwidths()

    def contenders(self, content):
        return [contender for pair in self.pairs for contender in pair]

    def rows(self, content):
        for peer, mine in self.pairs:
            yield Row('average', peer.name, mine.name, 'rate')


class Latency(Group):
    """a page and a sync against ib_send_lat and ib_read_lat, in one node, where programs must sleep"""
    notes = (LATENCIES,)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.page = latency('ib_send_lat', PAGE, '-e')
        self.header = latency('ib_send_lat', HEADER, '-e')
        self.read = latency('ib_read_lat', PAGE, '-e')
        self.applied = bench.applied(self.multifd, ITERATIONS)
        self.acknowledged = bench.acknowledged(self.multifd, ITERATIONS, '0')
        self.syncs = [bench.sync(self.multifd, channels, ITERATIONS) for channels in (1, 4)]

    def contenders(self, content):
        return [self.page, self.applied, self.header, *self.syncs, self.read, self.acknowledged]

    def rows(self, content):
        once = [(self.page.name, 'p50', 1), (self.header.name, 'p50', 1)]
        yield Row('a page, applied', once, self.applied.name, 'p50')
        yield Row('a page, acknowledged', self.read.name, self.acknowledged.name, 'p50')
        for mine in self.syncs:
            yield Row('an idle sync', [(self.header.name, 'p50', 2)], mine.name, 'p50')


class Migration(Group):
    """whole migrations against QEMU's, in one node: rdma, multifd over TCP, multifd over rsockets"""
    contents = ('random', *GUESTS)
    notes = (FRESH, MEASURED, HOLES, FLOOR)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = self.migrations('rdma', (1, 2, 4))
        self.on_demand = [ours.Migration(self.multifd, 'rdma', channels, registration='on-demand')
                          for channels in (1, 4)]
        self.floor = bench.Floor(self.multifd, MIB)
        self.rdma = [qemu.rdma(janitor, True), qemu.rdma(janitor, False)]
        self.sockets = [(channels, qemu.multifd(janitor, channels, rsockets=rsockets))
                        for rsockets in (False, True) for channels in (2, 4)]

    def contenders(self, content):
        """Ours between the peers, so that pairs are near each other in time."""
        first, second, third = self.mine.values()
        tcp2, tcp4, rsockets2, rsockets4 = (peer for _, peer in self.sockets)
        return [self.floor, self.rdma[0], first, self.on_demand[0], self.rdma[1], second, tcp2,
                third, self.on_demand[1], tcp4, rsockets2, rsockets4]

    def rows(self, content):
        pairs = [(peer, mine) for peer in self.rdma for mine in (*self.mine.values(), *self.on_demand)]
        pairs += [(peer, self.mine[channels, 'nocomp']) for channels, peer in self.sockets]
        yield from self.both_times(content, pairs)
        yield Row(content, self.rdma[0].name, self.floor.name, 'own', content)
        yield Row(content, self.floor.name, self.mine[1, 'nocomp'].name, 'own', content)


class Growth(Group):
    """time for each GiB, and memory beside the guest's, of larger guests and of more channels"""
    room = '64G'
    notes = (GROWN,)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.series = {'size': [ours.Sparse(self.multifd, 2, gib) for gib in (1, 4, 16)],
                       'channels': [ours.Sparse(self.multifd, channels, 4) for channels in (1, 4, 16, 64)]}

    def contenders(self, content):
        return [contender for series in self.series.values() for contender in series]

    def rows(self, content):
        for what, (first, *others) in self.series.items():
            for measure in ('own/GiB', 'memory'):
                for other in others:
                    yield Row(what, first.name, other.name, measure)


class Bridge(Group):
    """an unmodified QEMU over two bridges against its own rdma, and its multifd over TCP, in one node"""
    contents = ('random', 'guest')
    notes = (FRESH, MEASURED, BRIDGED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = [bridge.Migration(self.multifd, janitor, channels) for channels in (1, 4)]
        self.peers = [qemu.rdma(janitor, True), qemu.rdma(janitor, False), qemu.multifd(janitor, 4)]

    def contenders(self, content):
        first, second = self.mine
        return [self.peers[0], first, self.peers[1], second, self.peers[2]]

    def rows(self, content):
        for mine in self.mine:
            yield from self.both_times(content, [(peer, mine) for peer in self.peers])


class Running(Group):
    """a guest that runs and keeps writing, over two bridges against QEMU's own rdma, and its multifd over TCP"""
    runs = True
    notes = (RUNNING, BRIDGED)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        saved = job['saved']
        self.mine = running.Bridged('multifd bridge, 4 channels', saved, self.multifd)
        self.peers = [running.Plain('QEMU rdma, pin-all', saved, 'rdma', rdma_pin_all=True),
                      running.Plain('QEMU rdma, dynamic', saved, 'rdma'),
                      running.Plain('QEMU multifd, tcp, 4 channels', saved, 'tcp', multifd=True)]

    def contenders(self, content):
        return [self.peers[0], self.peers[1], self.mine, self.peers[2]]

    def rows(self, content):
        for peer in self.peers:
            for measure in ('own', 'down'):
                yield Row('a guest that writes', peer.name, self.mine.name, measure)


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

    def contenders(self, content):
        return [side[case] for case in self.mine for side in (self.peers, self.mine)]

    def rows(self, content):
        return self.both_times(content, [(self.peers[case], self.mine[case]) for case in self.mine])


class Wire(Group):
    """two nodes with a wire: QEMU's rdma, ib_write_bw, and a page's latency against sides that sleep and that poll"""
    nodes = 2
    contents = ('random', 'guest', None)
    notes = (FRESH, MEASURED, TOUCHED, CACHED, LATENCIES)

    def __init__(self, job, janitor):
        super().__init__(job, janitor)
        self.mine = list(self.migrations('rdma', (1, 4)).values())
        self.peers = [qemu.rdma(janitor, True), qemu.rdma(janitor, False)]
        self.rates = self.bandwidths()
        self.asleep = [latency('ib_send_lat', PAGE, '-e'), latency('ib_send_lat', HEADER, '-e'),
                       bench.acknowledged(self.multifd, ITERATIONS, '0')]
        self.polling = [latency('ib_write_lat', PAGE), latency('ib_send_lat', HEADER),
                        bench.acknowledged(self.multifd, ITERATIONS, '1s')]
        self.read = latency('ib_read_lat', PAGE, '-e')

    def contenders(self, content):
        if content:
            return [contender for pair in zip(self.peers, self.mine) for contender in pair]
        return [*(contender for pair in self.rates for contender in pair), self.read, *self.asleep,
                *self.polling]

    def rows(self, content):
        if content:
            yield from self.both_times(content, [(peer, mine) for peer in self.peers
                                                 for mine in self.mine])
            return
        for peer, mine in self.rates:
            yield Row('average', peer.name, mine.name, 'rate')
        for page, header, mine in (self.asleep, self.polling):
            there_and_back = [(page.name, 'p50', 1), (header.name, 'p50', 2)]
            yield Row('a page, acknowledged', there_and_back, mine.name, 'p50')
        yield Row('a page, acknowledged', self.read.name, self.asleep[-1].name, 'p50')


GROUPS = {group.__name__.lower(): group
          for group in (Raw, Bandwidth, Latency, Migration, Growth, Bridge, Running, Sockets, Wire)}
