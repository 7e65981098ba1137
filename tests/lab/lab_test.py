# SPDX-License-Identifier: MIT
"""What the lab tests share.

A test is one script in two roles: on the host it starts lab nodes that run the same script again,
in the nodes it does the work and prints TAP lines. The host repeats them, adds the time it took,
and exits with a status that is not 0 when a line was "not ok" or the nodes did not reach the end.
"""
import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LAB = os.path.join(TOP, 'tools', 'lab')
PYTHON = '/usr/bin/python3'   # in the nodes, whose PATH is not the host's

sys.path.append(os.path.join(TOP, 'tools', 'soft-roce'))
from common import shares


class Tap:
    """Prints one line for each test; a test is a list of what went wrong, empty when it passed."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, problems, note=''):
        if problems:
            self.failed += 1
            print(f'not ok - {name}')
            for problem in problems:
                for line in str(problem).splitlines():
                    print(f'#   {line}')
        else:
            self.passed += 1
            print(f'ok - {name}{" # " + note if note else ""}')
        sys.stdout.flush()

    def end(self):
        print(f'1..{self.passed + self.failed}', flush=True)
        return 1 if self.failed else 0


class Theme:
    """A test script: its name, what its nodes run, and how long that may take at most."""

    def __init__(self, name, node, description, engines=('uml', 'vm'), peer=None, host=None,
                 parts=None, limit=600):
        self.name = name
        self.node = node              # function of a Setting, in node 1
        self.peer = peer              # function of a Setting, in node 2, when there is one
        self.host = host              # function of a Setting, on the host, before the nodes
        self.description = description
        self.engines = engines
        self.parts = parts            # function of a Setting: names of parts, each with new nodes
        self.limit = limit            # seconds that the nodes of one part may take


class Setting:
    """What a test is told: from the command line, and what follows from it."""

    def __init__(self, options):
        self.engine = options.engine
        self.quick = options.quick
        self.seed = options.seed
        self.random = random.Random(options.seed)
        self.build = os.path.realpath(options.build)
        self.share = options.share
        self.part = options.part
        self.multifd = os.path.join(self.build, 'tools', 'multifd', 'multifd')
        self.tap = Tap()

    def pick(self, uml, vm, quick=None):
        """A value for the engine; of the quick run if that has its own."""
        if self.quick and quick is not None:
            return quick
        return uml if self.engine == 'uml' else vm


def parse_arguments(theme):
    parser = argparse.ArgumentParser(description=theme.description)
    add = parser.add_argument
    add('--engine', choices=theme.engines, default=theme.engines[0], help='default: %(default)s')
    add('--build', default=os.environ.get('MULTIFD_BUILD', os.path.join(TOP, 'build')),
        help='the build folder; default: $MULTIFD_BUILD or build')
    add('--quick', action='store_true', help='fewer cases')
    add('--seed', type=int, default=int(time.time()) % 1000000,
        help='of all that is random; printed; default: from the clock')
    add('--inside', choices=['node', 'peer'], help=argparse.SUPPRESS)
    add('--share', help=argparse.SUPPRESS)
    add('--part', help=argparse.SUPPRESS)
    return parser.parse_args()


def node_command(theme, options, role):
    words = [PYTHON, os.path.realpath(sys.argv[0]), '--inside', role, '--engine', options.engine,
             '--build', os.path.realpath(options.build), '--seed', str(options.seed)]
    words += ['--quick'] if options.quick else []
    words += ['--share', options.share] if theme.peer else []
    words += ['--part', options.part] if options.part else []
    return shlex.join(words)


def run_nodes(theme, options, tap):
    command = [LAB, '--engine', options.engine, '--timeout', str(theme.limit),
               *shares(TOP, options.build)]
    if theme.peer:
        command += ['--share', options.share, '--peer', node_command(theme, options, 'peer')]
    command.append(node_command(theme, options, 'node'))
    planned = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lab:
        for line in lab.stdout:
            line = re.sub(r'^\[[12]\] ', '', line)
            planned = planned or line.startswith('1..')
            tap.passed += line.startswith('ok - ')
            tap.failed += line.startswith('not ok - ')
            if not line.startswith('1..'):
                print(line, end='', flush=True)
    if not planned:
        tap.check(f'{theme.name}: the nodes reach the end', [f'tools/lab: status {lab.returncode}'])


def run_host(theme, options):
    setting = Setting(options)
    began = time.monotonic()
    print(f'# {theme.name}, engine {options.engine}, seed {options.seed}', flush=True)
    if not os.access(setting.multifd, os.X_OK):
        sys.exit(f'{sys.argv[0]}: {setting.multifd} is missing: build first, or give --build')
    if theme.host:
        theme.host(setting)
    for options.part in theme.parts(setting) if theme.parts else [None]:
        with tempfile.TemporaryDirectory(prefix='lab-test-', dir='/var/tmp') as options.share:
            run_nodes(theme, options, setting.tap)
    status = setting.tap.end()
    print(f'# {theme.name}, engine {options.engine}: {setting.tap.passed} passed, '
          f'{setting.tap.failed} failed, {time.monotonic() - began:.1f} s', flush=True)
    return status


def run_inside(theme, options):
    setting = Setting(options)
    if options.inside == 'peer':
        theme.peer(setting)
        return 0
    theme.node(setting)
    return setting.tap.end()


def main(theme):
    sys.stdout.reconfigure(line_buffering=True)
    options = parse_arguments(theme)
    sys.exit(run_inside(theme, options) if options.inside else run_host(theme, options))
