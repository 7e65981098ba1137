# SPDX-License-Identifier: MIT
"""multifd bench: its server and its client, as two programs like perftest's, or both in one."""
import session
from contender import Contender, Failure, await_start, ended_well

SECONDS = 180
WAITING = 'waiting at port'


def member(row, path):
    """The number at NAME.NAME... of a row of results, or None."""
    for name in path.split('.'):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def values_of(report, wanted):
    """{NAME: number} of {NAME: (path, factor)}, from the one row of a report."""
    if len(report['rows']) != 1:
        raise Failure(f'{len(report["rows"])} rows of results')
    found = {name: member(report['rows'][0], path) for name, (path, _) in wanted.items()}
    missing = [wanted[name][0] for name, value in found.items() if value is None]
    if missing:
        raise Failure(f'no {" and no ".join(missing)} in its results')
    return {name: value * wanted[name][1] for name, value in found.items()}


class Bench(Contender):
    """`wanted` is what to take from its results, as for values_of."""

    def __init__(self, name, multifd, words, wanted, loopback=False):
        super().__init__(name)
        self.argv = [multifd, 'bench', words[0]]
        self.words = [*words[1:], '--json', *(['--loopback'] if loopback else [])]
        self.wanted = wanted
        self.loopback = loopback
        self.server = None
        self.client = None

    def serve(self, place):
        port = place.next_port()
        if self.loopback:
            return port
        self.server = session.Program([*self.argv, '--port', str(port)])
        await_start(self.server, lambda: self.server.has_complained(WAITING), 'the server does not wait')
        return port

    def drive(self, place, port):
        address = [f'rdma:{place.address}:{port}'] if port else []      # what has one side only takes none
        self.client = session.Program([*self.argv, *address, *self.words])
        result, self.client = self.client.wait(SECONDS), None
        report = ended_well(result, SECONDS).report()
        return {'values': values_of(report, self.wanted), 'cpu': result.cpu, 'report': report}

    def finish(self, place):
        if self.loopback:
            return {}
        result, self.server = self.server.wait(SECONDS), None
        return {'cpu': ended_well(result, SECONDS).cpu}

    def clean(self, place):
        for program in filter(None, (self.server, self.client)):
            program.wait(0)
        self.server = self.client = None


class Floor(Contender):
    """What a migration cannot be faster than: the pages that are not zero as the bare loop sends them, and
    the device registering them at the destination, where nobody has touched the memory."""

    def __init__(self, multifd, mib):
        super().__init__('bare verbs')
        words = ['--memory', f'{mib}M', '--repeat', '1']
        self.raw = Bench('raw', multifd, ['raw', '--channels', '1', *words],
                         {'gbps': ('raw_gbps.median', 1)})
        self.register = Bench('register', multifd, ['register', *words],
                              {'seconds': ('fresh_register_s_per_gb.median', 1)})

    def serve(self, place):
        return self.raw.serve(place)

    def drive(self, place, port):
        gigabytes = place.normal / 1e9
        raw = self.raw.drive(place, port)
        register = self.register.drive(place, None)
        seconds = gigabytes * (8 / raw['values']['gbps'] + register['values']['seconds'])
        return {'values': {'own': seconds}}     # the processor time is that of filling memory, mostly

    def finish(self, place):
        self.raw.finish(place)
        return {}

    def clean(self, place):
        self.raw.clean(place)
        self.register.clean(place)


RATES = {'rate': ('average_gbps', 1), 'raw': ('raw_gbps.median', 1)}


def median_us(path):
    return {'p50': (f'{path}.p50', 1e-3)}


def name_of(what, channels):
    return f'bench {what}, {channels} channel{"s"[:channels > 1]}'


def bandwidth(multifd, size, channels, mib, passes=1, raw=True):
    """Passes of the session, each after one of the bare loop; behind one of both to warm up."""
    words = ['bandwidth', '--size', f'{size >> 10}K', '--channels', str(channels), '--memory',
             f'{mib}M', '--repeat', str(passes), *([] if raw else ['--raw=off'])]
    wanted = RATES if raw else {'rate': RATES['rate']}
    return Bench(name_of(f'bandwidth {size >> 10} KiB', channels), multifd, words, wanted)


def acknowledged(multifd, iterations, poll):
    """Of one page, until the source knows that the destination has it; each side polls so long before it sleeps."""
    return Bench(f'bench latency, acknowledged, poll {poll}', multifd,
                 ['latency', '--size', '4K', '--iters', str(iterations), '--poll', poll],
                 median_us('acknowledged'))


def applied(multifd, iterations):
    """Of one page, until the destination has it; both sleep; in one process, for one clock."""
    return Bench('bench latency, applied', multifd,
                 ['latency', '--size', '4K', '--iters', str(iterations), '--poll', '0'],
                 median_us('destination.applied'), loopback=True)


def sync(multifd, channels, iterations):
    return Bench(name_of('sync', channels), multifd,
                 ['sync', '--channels', str(channels), '--iters', str(iterations), '--poll', '0'],
                 median_us('sync'))
