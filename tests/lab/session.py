# SPDX-License-Identifier: MIT
"""In a node: programs that run beside each other, multifd's two sides, guest files."""
import contextlib
import json
import os
import random
import re
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
        self.result = None

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def has_ended(self, seconds=0.0):
        """Waits until it ends, at most so long."""
        return self.result is not None or bool(select.select([self.pidfd], [], [], max(seconds, 0))[0])

    def wait_until(self, reached, seconds, every=0.01):
        """Whether that came to be so, in time and while the program ran."""
        end = time.monotonic() + seconds
        while not reached():
            if self.has_ended(every) or time.monotonic() > end:
                return False
        return True

    def has_printed(self, text):
        return text in read_again(self.out)

    def has_complained(self, text):
        return text in read_again(self.err)

    def wait(self, seconds):
        """The Result; a program that has not ended in time is killed and has status None."""
        if not self.result:
            self.result = self.end(seconds)
        return self.result

    def end(self, seconds):
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


class Server(Program):
    """One that makes the file `ready`, with its port in it, when a source can connect."""

    def __init__(self, argv, ready):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ready)
        self.ready = ready
        super().__init__([*argv, '--ready', ready])

    def is_ready(self):
        return os.path.exists(self.ready) and os.path.getsize(self.ready) > 0


def read_again(file):
    """All that a program has written to it; its own place in it stays."""
    with open(f'/proc/self/fd/{file.fileno()}', encoding='utf-8') as again:
        return again.read()


def run(argv, seconds=60):
    return Program(argv).wait(seconds)


def is_listening(port):
    """Whether rdma_cm has a listener on the port; it keeps TCP's port, too, only in its own list."""
    ended = run(['rdma', 'resource', 'show', 'cm_id'], 10)
    return bool(re.search(rf'state LISTEN .*:{port}\b', ended.out))


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
        program = Server([*by, self.multifd, 'recv', self.where(address), *words], self.ready)
        program.wait_until(program.is_ready, seconds)
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
