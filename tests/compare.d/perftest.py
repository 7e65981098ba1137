# SPDX-License-Identifier: MIT
"""perftest's programs, with queue pairs of rdma_cm."""
import math
import re

import session
from contender import Contender, Failure, await_start, ended_well, last_line

SECONDS = 60

# Both put other text between the columns: warnings come without a line's end.
BANDWIDTH = re.compile(r'^ *(\d+) +(\d+) +([\d.]+) +([\d.]+)\s', re.MULTILINE)
LATENCY = re.compile(r'^ *(\d+) +(\d+)((?:\s+-?(?:[\d.]+|nan|inf)){7})', re.MULTILINE)

# It measures the processor's clock first, against the time of day. When that fails, which it does on
# a busy machine, it goes on and reports nonsense.
NO_CLOCK = 'it did not find out how fast the processor counts'


def bandwidth(text):
    """The table of --report_gbits: Gb/s."""
    found = BANDWIDTH.search(text)
    if not found:
        raise Failure('its table cannot be read')
    peak, average = float(found[3]), float(found[4])
    if average == 0:
        raise Failure(f'{NO_CLOCK}: it reports 0', again=True)
    return {'rate': average, 'peak': peak}


def latency(text):
    """The table of a latency test: microseconds."""
    found = LATENCY.search(text)
    if not found:
        raise Failure('its table cannot be read')
    names = ('min', 'max', 'p50', 'mean', 'deviation', 'p99', 'p99.9')
    values = dict(zip(names, map(float, found[3].split())))
    if not math.isfinite(values['p50']):
        raise Failure(f'{NO_CLOCK}: it reports {values["p50"]}', again=True)
    return {name: value for name, value in values.items() if math.isfinite(value)}


def ended_well_or_crashed(result):
    """A crash is another thing that happens now and then."""
    if result.status is not None and result.status < 0:
        raise Failure(f'signal {-result.status}: {last_line(result)}', again=True)
    return ended_well(result, SECONDS)


class Perftest(Contender):
    """A server and a client of one program with the same options."""

    def __init__(self, name, program, *words):
        super().__init__(name)
        self.read = bandwidth if program.endswith('_bw') else latency
        more = ['--report_gbits'] if program.endswith('_bw') else []
        self.words = [program, '-R', '-F', *more, *words]
        self.server = None
        self.client = None

    def start(self, place, port, *more):
        return session.Program([*self.words, '-d', place.device, '-p', str(port), *more])

    def serve(self, place):
        port = place.next_port()
        self.server = self.start(place, port)
        await_start(self.server, lambda: session.is_listening(port), 'the server does not listen', every=0.05)
        return port

    def drive(self, place, port):
        self.client = self.start(place, port, place.address)
        result, self.client = self.client.wait(SECONDS), None
        ended_well_or_crashed(result)
        return {'values': self.read(result.out), 'cpu': result.cpu}

    def finish(self, place):
        result, self.server = self.server.wait(SECONDS), None
        return {'cpu': ended_well_or_crashed(result).cpu}

    def clean(self, place):
        for program in filter(None, (self.server, self.client)):
            program.wait(0)
        self.server = self.client = None
