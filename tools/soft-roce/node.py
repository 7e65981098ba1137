# SPDX-License-Identifier: MIT
"""One node: its job folder, its process on the host, its output."""
import os
import shlex
import shutil
import sys
import tempfile

from common import EXIT_LAB, HERE, remove_folder, scratch_folder
from janitor import end_process


def address(number):
    return f'10.0.0.{number}'


def address6(number):
    return f'fd00:10::{number}'


def node_environment(options, number, nodes):
    peer = 3 - number if nodes == 2 else number
    return {'LAB_NODE': number, 'LAB_NODES': nodes, 'LAB_ENGINE': options.engine,
            'LAB_DEVICE': f'{options.device}0',
            'LAB_ADDRESS': address(number), 'LAB_PEER_ADDRESS': address(peer),
            'LAB_ADDRESS6': address6(number), 'LAB_PEER_ADDRESS6': address6(peer), **options.env}


class Output:
    """Repeats on a stream what the node writes to a file; with a prefix, in whole lines."""

    def __init__(self, path, stream, prefix):
        open(path, 'wb').close()
        self.file = open(path, 'rb')
        self.stream = stream.buffer
        self.prefix = prefix.encode()
        self.rest = b''

    def follow(self, at_end=False):
        data = self.file.read()
        if self.prefix:
            data = self.rest + data
            end = len(data) if at_end else data.rfind(b'\n') + 1
            data, self.rest = data[:end], data[end:]
            data = b''.join(self.prefix + line for line in data.splitlines(keepends=True))
            if at_end and data and not data.endswith(b'\n'):
                data += b'\n'
        if data:
            self.stream.write(data)
            self.stream.flush()


class Node:
    def __init__(self, number, command, options, janitor):
        nodes = 2 if options.peer else 1
        self.number = number
        self.janitor = janitor
        self.process = None
        self.claim = None   # on a core, as long as the node lives
        self.job = tempfile.mkdtemp(prefix='soft-roce-', dir=scratch_folder(64 << 20))
        janitor.tell('folder', self.job)
        self.fill_job(command, options, nodes)
        prefix = f'[{number}] ' if nodes == 2 else ''
        self.outputs = [Output(self.path('out'), sys.stdout, prefix),
                        Output(self.path('err'), sys.stderr, prefix)]
        if nodes == 1:
            self.start_command()

    def path(self, name):
        return os.path.join(self.job, name)

    def write(self, name, text):
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(text)

    def fill_job(self, command, options, nodes):
        settings = [f'export {name}={shlex.quote(str(value))}'
                    for name, value in node_environment(options, self.number, nodes).items()]
        settings += [f'lab_type={options.device}', f'lab_mtu={options.mtu}',
                     f'lab_folder={shlex.quote(os.getcwd())}']
        self.write('settings', '\n'.join(settings) + '\n')
        self.write('command', command + '\n')
        self.write('shares', ''.join(f'{share}\n' for share in options.share))
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            self.write('cpuinfo', file.read())
        os.mkdir(self.path('bin'))
        for name, where in (('node-init', ''), ('uml-init', ''), ('lab-wire', 'bin')):
            path = os.path.join(self.job, where, name)
            shutil.copyfile(os.path.join(HERE, name), path)
            os.chmod(path, 0o755)

    def start(self, argv, prepare=None, **more):
        with open(self.path('console'), 'wb') as console:
            self.process = self.janitor.start(argv, prepare, stdout=console, stderr=console, **more)

    def start_command(self):
        self.write('go', '')

    def is_up(self):
        return os.path.exists(self.path('up'))

    def answer_requests(self, obey):
        """Of lab-wire: `obey` is called with its arguments and returns the answer."""
        for name in os.listdir(self.job):
            request, suffix = os.path.splitext(name)
            if suffix == '.ask':
                with open(self.path(name), encoding='utf-8', errors='replace') as file:
                    answer = obey(file.read().split())
                os.unlink(self.path(name))
                self.write(f'{request}.new', answer)
                os.rename(self.path(f'{request}.new'), self.path(f'{request}.done'))

    def is_running(self):
        return self.process.poll() is None

    def follow_output(self, at_end=False):
        for output in self.outputs:
            output.follow(at_end)

    def status(self):
        """The command's exit status, or None when it has not ended."""
        try:
            with open(self.path('rc'), encoding='ascii') as file:
                return int(file.read())
        except FileNotFoundError:
            return None

    def has_ended(self):
        return self.status() is not None or not self.is_running()

    def final_status(self):
        status = self.status()
        return EXIT_LAB if status is None else status

    def console(self):
        with open(self.path('console'), encoding='utf-8', errors='replace') as file:
            return file.read()

    def end(self):
        if self.process:
            end_process(self.process)
        remove_folder(self.job)
