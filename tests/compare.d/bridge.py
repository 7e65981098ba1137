# SPDX-License-Identifier: MIT
"""Two `multifd bridge` between the two QEMUs of a migration."""
import qemu
import session
from contender import await_ready, ended_well

END_SECONDS = 30


class Migration(qemu.Migration):
    """QEMU's multifd, with its RAM file known on both sides."""

    def __init__(self, multifd, janitor, channels):
        super().__init__(f'multifd bridge, {channels} channel{"s"[:channels > 1]}', 'unix', janitor,
                         ['multifd', 'return-path'], {'multifd-channels': channels})
        self.program = multifd
        self.bridges = {}

    def address(self, place, port):
        """Of the destination's QEMU; `drive` names that of the bridge beside the source."""
        return {'uri': f'unix:{place.path("source.socket" if self.source else "destination.socket")}'}

    def start(self, place, side, addresses, ram):
        self.bridges[side] = session.Server([self.program, 'bridge', side, *addresses, '--ram', f'pc.ram={ram}',
                                             '--json', '--quiet'], place.path(f'{side}.ready'))
        await_ready(self.bridges[side], f'the {side}\'s bridge is not ready')

    def end(self, side, seconds):
        return self.bridges.pop(side).wait(seconds)

    def rdma(self, place, port):
        return f'rdma:{place.address}:{port}'

    def serve(self, place):
        port = super().serve(place)
        self.start(place, 'destination', [self.rdma(place, port), f'unix:{place.path("destination.socket")}'],
                   place.path('destination'))
        return port

    def stand_beside(self, place, port):
        self.start(place, 'source', [f'unix:{place.path("source.socket")}', self.rdma(place, port)],
                   place.source)

    def drive(self, place, port):
        return self.with_bridge('source', super().drive(place, port))

    def finish(self, place):
        return self.with_bridge('destination', super().finish(place))

    def with_bridge(self, side, told):
        """Its processor time counts, too."""
        result = ended_well(self.end(side, END_SECONDS), END_SECONDS)
        return {**told, 'cpu': told['cpu'] + result.cpu, 'report': result.report()}

    def clean(self, place):
        for side in list(self.bridges):
            self.end(side, 0)
        super().clean(place)
