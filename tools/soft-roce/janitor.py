# SPDX-License-Identifier: MIT
"""A process that outlives the lab.

When the lab dies, even by SIGKILL, it ends the nodes and removes their folders.
"""
import contextlib
import ctypes
import os
import signal
import subprocess

from common import remove_folder

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Janitor:
    """Fork it before anything else is opened: what it inherits stays open with it."""

    def __init__(self):
        reader, self.writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.writer)
            try:
                self.serve(reader)
            finally:
                os._exit(0)
        os.close(reader)

    def tell(self, kind, what):
        """kind: 'group' (a process group to end) or 'folder' (to remove)."""
        os.write(self.writer, f'{kind} {what}\n'.encode())

    def start(self, argv, prepare=None, **more):
        """A process in a group of its own, which the janitor knows before it runs.

        `prepare` is called in it before exec."""
        def in_child():
            self.tell('group', os.getpid())
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if prepare:
                prepare()

        more.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.Popen(argv, start_new_session=True, preexec_fn=in_child, **more)

    def dismiss(self):
        """Everything is done: nothing is left to clean."""
        self.tell('done', '')
        os.close(self.writer)
        os.waitpid(self.pid, 0)

    @staticmethod
    def serve(reader):
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)   # the caller may wait for the end of the lab's output
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        with os.fdopen(reader, encoding='utf-8') as pipe:
            lines = pipe.read().splitlines()
        if 'done ' not in lines:
            clean(lines)


def clean(lines):
    for line in lines:
        kind, _, what = line.partition(' ')
        if kind == 'group':
            end_group(int(what))
    for line in lines:
        kind, _, what = line.partition(' ')
        if kind == 'folder':
            remove_folder(what)


def end_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def end_process(process):
    """With all that it has started in its group."""
    end_group(process.pid)
    process.wait()
