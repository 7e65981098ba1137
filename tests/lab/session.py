# SPDX-License-Identifier: MIT
"""In a node: programs that run beside each other, multifd's two sides, guest files."""
import json
import os
import random
import select
import signal
import subprocess
import tempfile
import time

FOLDER = '/dev/shm'
CHUNK = 1 << 20


class Result:
    """How a program ended; status None when it had to be killed."""

    def __init__(self, status, out, err, began, ended, cpu=None):
        self.status = status
        self.out = out
        self.err = err
        self.began = began     # seconds since the epoch
        self.ended = ended
        self.cpu = cpu         # seconds of processor time

    def since(self, moment):
        """The same, with its times counted from a moment."""
        return Result(self.status, self.out, self.err, self.began - moment, self.ended - moment,
                      self.cpu)

    def __str__(self):
        return f'status {self.status}, {self.ended - self.began:.2f} s: {self.err.strip()}'

    def lines(self):
        """What it said on stderr, without progress and the like."""
        noise = (' left', 'listening on')
        return [line for line in self.err.splitlines()
                if line.strip() and not any(part in line for part in noise)]

    def report(self):
        return json.loads(self.out)


class Program:
    """A program in the background, its output in files so that it never waits for a reader."""

    def __init__(self, argv):
        self.out = tempfile.TemporaryFile('w+', dir='/tmp')
        self.err = tempfile.TemporaryFile('w+', dir='/tmp')
        self.began = time.time()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.out,
                                        stderr=self.err)
        self.pidfd = os.pidfd_open(self.process.pid)

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def has_ended(self, seconds=0.0):
        """Waits until it ends, at most so long."""
        return bool(select.select([self.pidfd], [], [], max(seconds, 0))[0])

    def wait_for_line(self, line, seconds):
        """Waits until it has printed that line."""
        end = time.monotonic() + seconds
        while not self.has_ended(0.01) and time.monotonic() < end:
            with open(f'/proc/self/fd/{self.out.fileno()}', encoding='utf-8') as out:
                if line in out.read().splitlines():
                    return

    def wait(self, seconds):
        """The Result; a program that has not ended in time is killed and has status None."""
        in_time = self.has_ended(seconds)
        ended = time.time()
        if not in_time:
            self.signal(signal.SIGKILL)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return Result(self.process.returncode if in_time else None, *texts, self.began, ended,
                      usage.ru_utime + usage.ru_stime)


def run(argv, seconds=60):
    return Program(argv).wait(seconds)


class Sides:
    """Starts `multifd recv` and `multifd send`, each on a new port; of a unix socket, with a number in
    its name."""

    def __init__(self, multifd, address='10.0.0.1', port=5000, transport='rdma'):
        self.multifd = multifd
        self.transport = transport
        self.address = address
        self.port = port
        self.ready = os.path.join(FOLDER, 'ready')

    def where(self, address=None):
        host = address or self.address
        if self.transport == 'unix':
            return f'unix:/tmp/multifd-{self.port}'
        host = f'[{host}]' if ':' in host else host
        return f'{self.transport}:{host}:{self.port}'

    def recv(self, *words, address=None, seconds=30, by=()):
        """Starts recv on the next port and waits until a source can connect. `by` is a program that
        runs it, with its arguments."""
        self.port += 1
        if os.path.exists(self.ready):
            os.unlink(self.ready)
        program = Program([*by, self.multifd, 'recv', self.where(address), '--ready', self.ready,
                           *words])
        end = time.monotonic() + seconds
        while not (os.path.exists(self.ready) and os.path.getsize(self.ready)):
            if program.has_ended(0.01) or time.monotonic() > end:
                break
        return program

    def send(self, *words, address=None, by=()):
        return Program([*by, self.multifd, 'send', self.where(address), *words])


def path(name):
    return os.path.join(FOLDER, name)


def remove(*names):
    for name in names:
        if os.path.exists(path(name)):
            os.unlink(path(name))


def make_file(name, size, source=random):
    """A file of random bytes, in memory. Not the kernel's: a young node may lack them long."""
    with open(path(name), 'wb') as file:
        for offset in range(0, size, CHUNK):
            file.write(source.randbytes(min(CHUNK, size - offset)))
    return path(name)


def digest(name):
    out = subprocess.run(['sha256sum', path(name)], stdout=subprocess.PIPE, check=True, text=True)
    return out.stdout.split()[0]


def differ(source, destination):
    """What is wrong with the destination's file, as a list of problems."""
    if not os.path.exists(path(destination)):
        return [f'{destination}: the destination has no such file']
    ended = subprocess.run(['cmp', path(source), path(destination)], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False, text=True)
    return [] if ended.returncode == 0 else [f'contents differ: {ended.stdout.strip()}']


def running(program='multifd'):
    """Processes of that name."""
    found = []
    for entry in os.listdir('/proc'):
        try:
            with open(f'/proc/{entry}/comm', encoding='ascii') as file:
                if entry.isdigit() and file.read().strip() == program:
                    found.append(int(entry))
        except OSError:
            pass
    return found
