# SPDX-License-Identifier: MIT
"""A real guest in Debian's QEMU that migrates, and what its memory is, told by other ways."""
import os
import shutil
import time

import demo
from orders import Orders, is_over

VGA = ['-vga', 'std']


# The guest of the demo, with a process that keeps writing to the same MiB, faster than a slow
# migration can follow: content that changes, and pages that become zero and then others again.
INIT = demo.GUEST_INIT.replace(f"echo '{demo.GUEST_IS_UP}'", f"""
dd if=/dev/urandom of=/ram/noise bs=64k count=16 2> /dev/null
sh -c 'while :; do
  dd if=/ram/noise of=/ram/churn bs=64k conv=notrunc
  dd if=/dev/zero of=/ram/churn bs=64k count=8 seek=8 conv=notrunc
done' 2> /dev/null &
echo '{demo.GUEST_IS_UP}'""")


class Source(Orders, demo.Guest):
    """QEMU. Its errors are demo.DemoError."""

    def __init__(self, work, janitor, more=()):
        path = os.path.join(work, 'log')
        with open(path, 'w', encoding='utf-8') as log:
            super().__init__(work, janitor, [*VGA, *more], log)
        self.log = open(path, encoding='utf-8', errors='replace')

    def said(self):
        """What QEMU has printed since the last time."""
        return [f'QEMU: {line.rstrip()}' for line in self.log]

    def stop(self):
        """The guest stands still, and may be migrated (again)."""
        self.execute('cont')
        self.execute('stop')

    def wait_for_end(self, seconds):
        """Waits until the migration is over; returns how it ended."""
        return self.wait_until(is_over, seconds)

    def wait_until(self, reached, seconds):
        """Waits until the migration is somewhere; returns what QEMU tells of it then."""
        end = time.monotonic() + seconds
        told = self.migration()
        while not reached(told) and time.monotonic() < end:
            time.sleep(0.02)
            told = self.migration()
        return told

    def blocks(self):
        """Name of each RAM block: (bytes in use, bytes reserved)."""
        table = self.execute('human-monitor-command', {'command-line': 'info ramblock'})
        rows = [line.rsplit(maxsplit=5) for line in table.splitlines()[1:]]
        return {row[0].strip(): (int(row[-2], 16), int(row[-1], 16)) for row in rows}

    def mappings(self, length):
        """Where QEMU has anonymous memory of exactly that length."""
        with open(f'/proc/{self.process.pid}/maps', encoding='utf-8', errors='replace') as maps:
            for line in maps:
                fields = line.split()
                start, end = (int(address, 16) for address in fields[0].split('-'))
                if fields[1] == 'rw-p' and fields[4] == '0' and end - start == length:
                    yield start

    def has(self, total, content):
        """Whether a block of `total` bytes starts with that content."""
        with open(f'/proc/{self.process.pid}/mem', 'rb') as memory:
            for start in self.mappings(total):
                memory.seek(start)
                if memory.read(len(content)) == content:
                    return True
        return False


def boot(work, janitor):
    """A guest that is up, in a folder of its own."""
    os.makedirs(work)
    demo.make_initrd(work, janitor, INIT)
    source = Source(work, janitor)
    source.wait_until_up()
    return source


def wake(work, janitor, other, more):
    """A guest that has not started, but has the RAM of another one, which stands still."""
    os.makedirs(work)
    os.link(os.path.join(os.path.dirname(other.ram), 'initrd'), os.path.join(work, 'initrd'))
    shutil.copy(other.ram, os.path.join(work, 'ram'))
    return Source(work, janitor, ['-S', *more])
