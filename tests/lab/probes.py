# SPDX-License-Identifier: MIT
"""The library's static probes under bpftrace: what it counts is what the reports tell. It needs a
kernel with uprobes and BPF, which the vm has."""
import json
import os
import signal
import subprocess

import session

MIB = 1 << 20
SIZE = 6 * MIB
SCRIPT = """
BEGIN { printf("ready\\n") }
usdt:LIBRARY:multifd:packet_posted {
    @posted[arg0] = count(); @posted_pages[arg0] = sum(arg2 + arg3); @posted_bytes[arg0] = sum(arg4)
}
usdt:LIBRARY:multifd:packet_received {
    @received[arg0] = count(); @received_pages[arg0] = sum(arg2 + arg3);
    @received_bytes[arg0] = sum(arg4)
}
usdt:LIBRARY:multifd:credit_stall { @stalls[arg0] = count() }
usdt:LIBRARY:multifd:sync_begin { @begun = max(arg0) }
usdt:LIBRARY:multifd:sync_end { @ended = max(arg0) }
usdt:LIBRARY:multifd:round_applied { @applied = max(arg0) }
usdt:LIBRARY:multifd:error { printf("error %d: %s\\n", (int32)arg1, str(arg2)) }
"""


class Watch:
    """bpftrace, watching every process that has the library."""

    def __init__(self, library):
        for kind, folder in (('tracefs', '/sys/kernel/tracing'), ('debugfs', '/sys/kernel/debug')):
            subprocess.run(['mount', '-t', kind, 'none', folder], check=False,
                           stderr=subprocess.DEVNULL)
        script = SCRIPT.replace('LIBRARY', library)
        self.program = session.Program(['bpftrace', '-f', 'json', '-e', script])
        self.program.wait_until(lambda: self.program.has_printed('"data": "ready\\n"'), 150)

    def end(self):
        """What it has printed, the maps by name, and what it complained of."""
        if not self.program.has_ended():
            self.program.signal(signal.SIGINT)
        result = self.program.wait(400)   # it detaches probe by probe, slowly when the host is busy
        printed, maps = [], {}
        for line in result.out.splitlines():
            told = json.loads(line) if line.startswith('{') else {}
            if told.get('type') == 'printf':
                printed.append(told['data'].strip())
            elif told.get('type') == 'map':
                maps.update(told['data'])
        return printed, maps, [] if result.status == 0 else [f'bpftrace: {result}']


def check_side(maps, kind, report):
    wanted = {kind: 'packets', f'{kind}_bytes': 'wire_bytes'}
    for name, counter in wanted.items():
        told = {str(part['channel']): part[counter] for part in report['channels']}
        if maps.get(f'@{name}') != told:
            yield f'{name} is {maps.get(f"@{name}")}, the report has {told}'
    told = {str(part['channel']): part['normal_pages'] + part['zero_pages']
            for part in report['channels']}
    if maps.get(f'@{kind}_pages') != told:
        yield f'{kind} pages are {maps.get(f"@{kind}_pages")}, the report has {told}'


def check_maps(maps, sent, received):
    problems = [*check_side(maps, 'posted', sent), *check_side(maps, 'received', received)]
    stalls = sum(maps.get('@stalls', {}).values())
    if stalls != sent['credit_stalls'] or stalls == 0:
        problems.append(f'{stalls} credit stalls, the report has {sent["credit_stalls"]}')
    for name in ('@begun', '@ended', '@applied'):
        if maps.get(name) != sent['syncs']:
            problems.append(f'{name} is {maps.get(name)} after {sent["syncs"]} rounds')
    return problems


def transfer(sides):
    """One that is done, with a window so small that packets wait for credits; and one that fails."""
    session.make_file('source', SIZE)
    destination = sides.recv('--ram', f'ram={session.path("destination")}', '--window', '1',
                             '--json', '--quiet')
    source = sides.send('--ram', f'ram={session.path("source")}', '--channels', '3', '--window',
                        '4', '--json', '--quiet')
    results = [source.wait(120), destination.wait(120)]
    sides.port += 1
    failed = sides.send('--ram', f'ram={session.path("source")}', '--quiet').wait(60)
    session.remove('source', 'destination')
    return results, failed


def run(setting, sides):
    library = os.path.join(setting.build, 'core', 'libmultifd.so')
    watch = Watch(os.path.realpath(library))
    results, failed = transfer(sides)
    printed, maps, problems = watch.end()
    problems += [str(result) for result in results if result.status != 0]
    if not problems:
        problems += check_maps(maps, *(result.report() for result in results))
    said = failed.err.strip().removeprefix('multifd send: ')
    if not any(line.startswith('error -') and line.endswith(f': {said}') for line in printed):
        problems.append(f'the error "{said}" is not among {printed}')
    setting.tap.check('transfer: bpftrace sees what the reports tell', problems)
