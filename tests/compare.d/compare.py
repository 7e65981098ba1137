# SPDX-License-Identifier: MIT
"""Compares this project with its peers: perftest, QEMU's rdma and multifd, a bare verbs loop.

Installs what is missing (Debian's apt, with sudo when not root), builds in
${MULTIFD_BUILD:-build/compare}, runs each group where it belongs (in the lab, see lab --help, or on
the host itself), and prints one table of ratios. All sides of a comparison take turns in one run:
a round to warm up, then as many as there are pairs. Memory is compared after every migration.
Only the ratios mean anything; leave the machine alone meanwhile.

Exit status: 0; 1 when ours failed, or somebody moved memory wrongly, or a group did not come to its
end. What a peer fails in stands in its row.
"""
import argparse
import datetime
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile

from node import HERE, MIB, TOP  # which finds the other modules
import contents
import plan
import table

import demo
import cache
from common import LabError, remove_folder, shares
from janitor import Janitor, end_process

LAB = os.path.join(TOP, 'tools', 'lab')
PYTHON = '/usr/bin/python3'      # in the nodes, whose PATH is not the host's
PACKAGES = ['perftest', 'ibverbs-utils', 'librdmacm1', 'git']
PAIRS = 5
TURN_SECONDS = 30                # of the time limit, for each turn
BESIDE_MEMORY = 2048             # MiB of a node: all but guest memory


def parse_arguments():
    parser = argparse.ArgumentParser(prog='compare', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--only', action='append', choices=plan.GROUPS, metavar='GROUP',
        help='this group; more than once for several; default: all')
    add('--pairs', type=int, default=PAIRS, metavar='N',
        help=f'rounds that count; default: {PAIRS}, which is the least for a figure to be told around')
    add('--memory', type=int, default=1024, metavar='MIB',
        help='of a guest that is migrated, full of random content or booted; default: 1024')
    add('--json', metavar='FILE', help='write all values there')
    add('--list', action='store_true', help='list the groups')
    options = parser.parse_args()
    if options.pairs < 1:
        parser.error('--pairs: must be at least 1')
    if not demo.RAM_MIB <= options.memory <= 65536:
        parser.error(f'--memory: must be between {demo.RAM_MIB} and 65536')
    options.groups = list(dict.fromkeys(options.only or plan.GROUPS))
    return options


def node_memory(made):
    """MiB: the source's and the destination's, and what is in the page cache of it."""
    largest = max((os.path.getsize(content['path']) for content in made.values()), default=0)
    return 3 * largest // MIB + BESIDE_MEMORY


def command_for(group, job, path, work):
    words = [PYTHON, os.path.join(HERE, 'node.py'), path]
    if group.nodes == 0:
        return words
    contenders = [one for content in group.contents for one in group(job, None).contenders(content)]
    turns = len(contenders) * (job['pairs'] + 1)
    lab = [LAB, '--engine', 'uml', '--mem', f'{node_memory(job["contents"])}M', '--share', work,
           *shares(TOP, job['multifd'].removesuffix('tools/multifd/multifd')),
           '--timeout', str(300 + turns * TURN_SECONDS)]
    peer = ['--peer', shlex.join(words)] if group.nodes == 2 else []
    return [*lab, *peer, shlex.join(words)]


def play(name, options, job, work, janitor):
    """Runs a group; returns what its node tells, or {'error': why}."""
    print(f'# {name}: {plan.GROUPS[name].__doc__}', file=sys.stderr, flush=True)
    share = tempfile.mkdtemp(dir=work)
    job = {**job, 'group': name, 'pairs': options.pairs, 'share': share,
           'result': os.path.join(share, 'result')}
    path = os.path.join(share, 'job')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(job, file)
    process = janitor.start(command_for(plan.GROUPS[name], job, path, work))
    try:
        status = process.wait()
    finally:
        end_process(process)
    try:
        with open(job['result'], encoding='utf-8') as file:
            played = json.load(file)
    except (OSError, ValueError):
        return {'error': f'it did not come to its end: status {status}', 'samples': []}
    group = plan.GROUPS[name](job, None)
    rows = [row for content in group.contents for row in group.rows(content)]
    played['rows'] = [table.result_of(row, played['samples']) for row in rows]
    return played


def revision():
    told = subprocess.run(['git', '-C', TOP, 'describe', '--always', '--dirty'], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return told.stdout.strip() or 'unknown'


def processor():
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        names = [line.partition(':')[2].strip() for line in file if line.startswith('model name')]
    return names[0] if names else 'unknown'


def describe_system(name, told):
    lines = [f'{name}: {told["kernel"]}, {told["processors"]} CPU, {told["multifd"]}, {told["qemu"]}, '
             f'perftest {told["perftest"]}']
    if told['device']:
        lines.append(f'  device {told["device"]}, MTU {told["mtu"]} '
                     f'(network device {told["interface_mtu"]})')
    return lines


def print_report(report):
    results = [{**row, 'what': f'{name}: {row["what"]}'}
               for name, played in report['groups'].items() for row in played.get('rows', [])]
    if results:
        print('\n'.join(table.table(results)))
        print(f'\n{table.MEANING}')
    print(f'\n{report["date"]}, revision {report["revision"]}, {report["processor"]}')
    for name, played in report['groups'].items():
        if 'error' in played:
            print(f'{name}: failed: {played["error"]}')
        else:
            print('\n'.join(describe_system(name, played['system'])))
    for note in dict.fromkeys(note for name in report['groups'] for note in plan.GROUPS[name].notes):
        print(f'{note}.')


def has_failed(played):
    """Whether the exit status must tell: a group, one of ours, or memory that is not as it was."""
    return 'error' in played or any(
        sample.get('mismatch') or 'error' in sample and not is_peer(sample['contender'])
        for sample in played['samples'])


def is_peer(contender):
    return contender.startswith(('QEMU', 'ib_'))


def compare(options, work, janitor):
    packages = demo.BUILD_PACKAGES + PACKAGES + cache.packages('uml') + cache.packages('vm')
    cache.install(list(dict.fromkeys(packages)))
    job = {'multifd': demo.build(work, janitor, 'compare', ['-DCMAKE_BUILD_TYPE=Release'])}
    if any(plan.GROUPS[name].nodes for name in options.groups):
        cache.prepare('uml', janitor)
    needed = {name for group in options.groups for name in plan.GROUPS[group].contents if name}
    job['contents'] = contents.make(needed, options.memory, work, janitor)
    runs = any(plan.GROUPS[name].runs for name in options.groups)
    job['saved'] = contents.make_running(work, janitor) if runs else None
    report = {'version': 1, 'type': 'compare', 'date': datetime.datetime.now().isoformat(' ', 'seconds'),
              'revision': revision(), 'processor': processor(), 'memory_mib': options.memory,
              'groups': {name: play(name, options, job, work, janitor) for name in options.groups}}
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as file:
            json.dump(report, file, indent=1)
    print_report(report)
    return 1 if any(map(has_failed, report['groups'].values())) else 0


def main():
    options = parse_arguments()
    if options.list:
        for name, group in plan.GROUPS.items():
            print(f'{name:10} {group.__doc__}')
        return 0
    janitor = Janitor()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, demo.on_signal)
    work = tempfile.mkdtemp(prefix='multifd-compare-', dir=os.environ.get('TMPDIR', '/var/tmp'))
    janitor.tell('folder', work)
    try:
        return compare(options, work, janitor)
    except (demo.DemoError, LabError, OSError) as error:
        print(f'compare: {error}', file=sys.stderr)
        return 1
    finally:
        remove_folder(work)
        janitor.dismiss()


if __name__ == '__main__':
    sys.exit(main())
