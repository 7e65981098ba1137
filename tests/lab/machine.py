# SPDX-License-Identifier: MIT
"""QEMU with a Linux guest whose only process is the rewriter, and what that says.

Every wait has a limit: a destination whose migration has failed may never answer again.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import session
from orders import MachineError, Orders, is_over

MIB = 1 << 20
BLOCKS = {'ram0': 64, 'ram1': 64}     # RAM blocks that are files: name, MiB
START_SECONDS = 60
BOOT_SECONDS = 60
MONITOR_SECONDS = 20


class Monitor:
    """QMP."""

    def __init__(self, path, program, seconds=START_SECONDS):
        self.name = os.path.basename(path)
        self.events = []
        self.buffer = b''
        end = time.monotonic() + seconds
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError as error:
                self.socket.close()
                if program.has_ended(0.02) or time.monotonic() > end:
                    raise MachineError(f'no {self.name}: {error}') from None
        self.read(MONITOR_SECONDS)
        self.execute('qmp_capabilities')

    def read(self, seconds):
        """The next message."""
        end = time.monotonic() + seconds
        while b'\n' not in self.buffer:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(65536)
            except OSError as error:
                raise MachineError(f'{self.name}: {error}') from None
            if not data:
                raise MachineError(f'{self.name} is closed')
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b'\n')
        return json.loads(line)

    def execute(self, command, arguments=None, seconds=MONITOR_SECONDS):
        request = {'execute': command, 'arguments': arguments or {}}
        try:
            self.socket.sendall(json.dumps(request).encode())
        except OSError as error:
            raise MachineError(f'{self.name}: {error}') from None
        end = time.monotonic() + seconds
        while True:
            answer = self.read(end - time.monotonic())
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise MachineError(f'{command}: {answer["error"]["desc"]}')
            self.events.append(answer)

    def close(self):
        self.socket.close()


def ram_file(folder, side, name):
    return os.path.join(folder, f'{name}-{side}')


class Machine(Orders):
    """One QEMU; `folder` is for its RAM files, monitors and console. Of two with the same folder and
    the same guest each has its `side`, whose RAM files it has."""
    number = 0

    def __init__(self, folder, side, words):
        Machine.number += 1
        self.folder = folder
        self.side = side
        self.monitor = None
        self.console = os.path.join(folder, f'console-{Machine.number}')
        self.qmp = os.path.join(folder, f'qmp-{Machine.number}')     # for someone else
        own = os.path.join(folder, f'monitor-{Machine.number}')
        self.program = session.Program(
            ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64',
             '-nodefaults', '-no-user-config', '-display', 'none',
             '-accel', 'tcg,thread=single', '-cpu', 'qemu64', *self.ram_words(),
             '-serial', f'file:{self.console}', '-qmp', f'unix:{own},server=on,wait=off',
             '-qmp', f'unix:{self.qmp},server=on,wait=off', *words])
        try:
            self.monitor = Monitor(own, self.program)
        except MachineError as error:
            raise MachineError(f'{error}; {self.end().err.strip()}') from None
        self.put_guest_first()

    def ram_words(self):
        """Each block is a NUMA node."""
        words = ['-machine', 'pc', '-m', str(sum(BLOCKS.values()))]
        for name, mib in BLOCKS.items():
            words += ['-object', f'memory-backend-file,id={name},size={mib}M,share=on,'
                                 f'mem-path={self.ram(name)}', '-numa', f'node,memdev={name}']
        return words

    def ram(self, name):
        return ram_file(self.folder, self.side, name)

    def put_guest_first(self):
        """It rests half of the time, and must get on however busy a node with one processor is."""
        for cpu in self.execute('query-cpus-fast'):
            with contextlib.suppress(PermissionError):
                os.setpriority(os.PRIO_PROCESS, cpu['thread-id'], -10)

    def execute(self, command, arguments=None, seconds=MONITOR_SECONDS):
        return self.monitor.execute(command, arguments, seconds)

    def wait_for_migration(self, reached, seconds):
        """Waits until what QEMU tells of the migration fits; returns that."""
        end = time.monotonic() + seconds
        while True:
            told = self.migration()
            if reached(told):
                return told
            if time.monotonic() > end:
                raise MachineError(f'the migration does not get on: {told}')
            time.sleep(0.02)

    def said(self):
        """What the guest has printed."""
        with contextlib.suppress(FileNotFoundError), \
                open(self.console, encoding='utf-8', errors='replace') as file:
            return file.read()
        return ''

    def has_ended(self, seconds=0.0):
        return self.program.has_ended(seconds)

    def end(self):
        """Ends it, if it has not; returns its Result."""
        if self.monitor:
            self.monitor.close()
        if not self.program.result:
            self.program.signal(signal.SIGKILL)
        return self.program.wait(MONITOR_SECONDS)


# ---- A guest that is up, in files -----------------------------------------------------------

STATE = 'state'


def make_initrd(folder, rewriter):
    tree = os.path.join(folder, 'tree')
    os.makedirs(tree)
    shutil.copy(rewriter, os.path.join(tree, 'init'))
    subprocess.run('find . | cpio --quiet -o -H newc > ../initrd', shell=True, cwd=tree, check=True)
    return os.path.join(folder, 'initrd')


def wait_until_up(machine):
    end = time.monotonic() + BOOT_SECONDS
    while 'look 1:' not in machine.said():
        if machine.has_ended(0.1) or time.monotonic() > end:
            raise MachineError(f'the guest does not come up: {machine.said()}')


def save(folder, rewriter, kernel):
    """Boots a guest and leaves it in the folder: its RAM, and the state of everything else."""
    machine = Machine(folder, 0, ['-kernel', kernel, '-initrd', make_initrd(folder, rewriter), '-append',
                                  'console=ttyS0 quiet panic=-1 numa=off pti=on'])
    try:
        wait_until_up(machine)
        machine.execute('stop')
        machine.capabilities(x_ignore_shared=True)
        machine.execute('migrate', {'uri': f'exec:cat > {os.path.join(folder, STATE)}'})
        machine.wait_for_migration(is_over, BOOT_SECONDS)
    finally:
        machine.end()


def load(saved, folder):
    """The guest that is in a folder runs on, in another one."""
    for name in BLOCKS:
        shutil.copy(ram_file(saved, 0, name), ram_file(folder, 0, name))
    machine = Machine(folder, 0, ['-S', '-incoming', 'defer'])
    machine.capabilities(x_ignore_shared=True)
    machine.execute('migrate-incoming', {'uri': f'exec:cat {os.path.join(saved, STATE)}'})
    machine.wait_for_migration(is_over, START_SECONDS)
    machine.capabilities(x_ignore_shared=False)
    machine.execute('cont')
    return machine
