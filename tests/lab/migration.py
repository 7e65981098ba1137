# SPDX-License-Identifier: MIT
"""Live migrations of the rewriter's guest, and what must hold after them.

A destination is started with -S, as libvirt does it: its guest runs when it is told to, and that is
when the source has said that it is done. Until then the RAM of both stands still and is compared.
Before, the destination's RAM files hold what they held when the guest was there the last time: a
page that does not come is an old one then, with a generation that is gone.

QEMU 7.2 in software emulation misses writes: what the TLB holds of a page lets the guest write to it
unseen, until the TLB is emptied. The rewriter empties it all the time (see there); its pages were
right in some 300 migrations without a bridge. The kernel does not while it is idle: in one of ten, up
to 14 of its pages were not sent as they were last, and before the kernel isolated page tables, in
each. Such a page is copied, so that the guest lives, and counted; with one of the rewriter's the
migration has failed.
"""
import contextlib
import mmap
import os
import re
import struct
import time

from machine import BLOCKS, MIB, Machine, MachineError, load, ram_file
from orders import is_over

PAGE = 4096
CHUNK = 1 << 20
LOOKS = 3            # after which the rewriter has looked at all pages, since some moment, at least once
LOOK_SECONDS = 120   # emulation in emulation is slow
SECONDS = 180        # a migration that takes longer has failed
END_SECONDS = 5      # that a destination has after its migration has failed
ROUNDS = 6           # of a guest that runs, at least
FAST = 160 * MIB     # bytes per second
SLOW = 16 * MIB      # in QEMU's 100 ms less than the flipping pages are
STEADY = 24 * MIB    # of a migration that takes some seconds
SLOW_LEFT = 24 * MIB # of the first round: from when on it is slow
RUN_SECONDS = 0.06   # of the guest, before a migration may end
ENOUGH_MS = 2000     # of downtime, for the rest however much it is
MISSED = 64          # pages, at most, that QEMU may have
LAST_LOOK = re.compile(r'^look (\d+): \d+ pages, (\d+) mismatches$', re.MULTILINE)
STEP = 0x9e3779b97f4a7c15    # between the words of a page of the rewriter's


class Guest:
    """It is in `machine`; the one where it was before is gone when it has moved."""

    def __init__(self, saved, folder, machine=None):
        self.saved = saved
        self.folder = folder
        self.earlier = ''        # what it has said where it was before
        self.mismatches = 0      # that were told of
        self.machine = machine or load(saved, folder)

    def restart(self):
        """After it was lost."""
        self.machine.end()
        self.earlier = ''
        self.mismatches = 0
        self.machine = load(self.saved, self.folder)

    def said(self):
        return self.earlier + self.machine.said()

    def last_look(self):
        """Its number, and how many mismatches there were."""
        found = LAST_LOOK.findall(self.said())
        return tuple(map(int, found[-1])) if found else (0, 0)

    def move(self, destination):
        self.earlier = self.said()
        self.machine.end()
        self.machine = destination

    def look(self, seconds=LOOK_SECONDS):
        """Waits until it has looked at all of its pages; returns what is wrong."""
        wanted = self.last_look()[0] + LOOKS
        end = time.monotonic() + seconds
        while self.last_look()[0] < wanted:
            if self.machine.has_ended(0.02):
                return [f'QEMU has ended: {self.machine.end()}']
            if time.monotonic() > end:
                return [f'the guest is {self.machine.status()} and does not get on: {self.said()[-300:]}']
        new = self.last_look()[1] - self.mismatches
        if not new:
            return []
        self.mismatches += new
        told = [line for line in self.said().splitlines() if 'MISMATCH' in line]
        return [f'{new} mismatches', *told[:9]]


def is_rewriters(page):
    """Unless it is full of zeros, which nobody can tell."""
    first, second, third = struct.unpack_from('<3Q', page)
    return (second - first) % (1 << 64) == STEP == (third - second) % (1 << 64)


class Difference:
    """A page that is not the same on both sides."""

    def __init__(self, block, at, source, destination):
        self.block = block
        self.at = at
        self.source = source
        self.destination = destination

    def is_rewriters(self):
        return is_rewriters(self.source) or is_rewriters(self.destination)

    def __str__(self):
        what = 'the rewriter' if self.is_rewriters() else 'the kernel'
        return (f'{self.block} at {self.at:#x}, of {what}: {self.destination[:16].hex()} came, '
                f'not {self.source[:16].hex()}')


def differences(folder, source, destination):
    """Of the RAM files of both sides."""
    for name in BLOCKS:
        with open(ram_file(folder, source, name), 'rb') as first, \
                open(ram_file(folder, destination, name), 'rb') as second:
            at = 0
            while mine := first.read(CHUNK):
                theirs = second.read(CHUNK)
                if mine != theirs:
                    for page in range(0, len(mine), PAGE):
                        pair = mine[page:page + PAGE], theirs[page:page + PAGE]
                        if pair[0] != pair[1]:
                            yield Difference(name, at + page, *pair)
                at += len(mine)


def mend(folder, destination, found):
    """Copies the pages that QEMU has missed."""
    for one in found:
        with open(ram_file(folder, destination, one.block), 'r+b') as file:
            os.pwrite(file.fileno(), one.source, one.at)


def compare(folder, source, destination):
    """What is wrong with the destination's RAM; and the pages that QEMU has missed, which are right
    then."""
    found = list(differences(folder, source, destination))
    wrong = [one for one in found if one.is_rewriters()]
    if wrong or len(found) > MISSED:
        return [f'{len(found)} pages differ, {len(wrong)} of the rewriter',
                *map(str, wrong[:5] + found[:5])], found
    mend(folder, destination, found)
    return [], found


def damage(folder, side):
    """Spoils a word of one of the rewriter's pages."""
    for name in BLOCKS:
        with open(ram_file(folder, side, name), 'r+b') as file, mmap.mmap(file.fileno(), 0) as memory:
            for at in range(0, len(memory), PAGE):
                if is_rewriters(memory[at:at + PAGE]):
                    memory[at + 2048] ^= 1
                    return
    raise MachineError('no page of the rewriter in its guest')


class Plain:
    """QEMU connects to QEMU."""
    drives = False      # whether it sets QEMU up and starts the migration by itself

    def __init__(self, address, channels=2, method='none'):
        self.incoming = address
        self.outgoing = address
        self.channels = channels
        self.method = method

    def start(self, source, destination):
        pass

    def end(self):
        """Waits for what is between the machines; returns what is wrong with it."""
        return []

    def abandon(self):
        pass


class Migration:
    """One, from the guest's machine to a new one, by a way such as Plain."""

    def __init__(self, guest, way):
        self.guest = guest
        self.way = way
        self.source = guest.machine
        self.destination = None
        self.told = {}       # by the source, at the end
        self.missed = []     # pages that QEMU has not sent as they were last

    def set_up(self, machine):
        """Tells QEMU what both sides must be told alike."""
        machine.capabilities(multifd=True, return_path=True, events=True)
        machine.parameters(multifd_channels=self.way.channels, multifd_compression=self.way.method)

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.way.incoming.removeprefix('unix:'))
        self.destination = Machine(self.guest.folder, 1 - self.source.side, ['-S', '-incoming', 'defer'])
        if not self.way.drives:
            self.set_up(self.destination)
            self.set_up(self.source)
            self.destination.execute('migrate-incoming', {'uri': self.way.incoming})
            self.source.parameters(max_bandwidth=FAST, downtime_limit=1)
        self.way.start(self.source, self.destination)
        if not self.way.drives:
            self.source.migrate(self.way.outgoing)

    def rounds(self):
        return self.source.migration().get('ram', {}).get('dirty-sync-count', 0)

    def keep_going(self):
        """Slows down near the first round's end, and waits until there were enough."""
        self.source.wait_for_migration(
            lambda told: is_over(told) or 0 < told.get('ram', {}).get('remaining', 0) < SLOW_LEFT, SECONDS)
        self.source.parameters(max_bandwidth=SLOW)
        self.source.wait_for_migration(
            lambda told: is_over(told)
            or told.get('ram', {}).get('dirty-sync-count', 0) >= ROUNDS, SECONDS)

    def let_end(self):
        """From now on it may end.

        A round has begun then, and the guest has run since: QEMU looks for dirty pages once more, stops
        the guest at once, and seldom misses a write."""
        last = self.rounds()
        self.source.wait_for_migration(
            lambda told: is_over(told) or told['ram']['dirty-sync-count'] > last, SECONDS)
        time.sleep(RUN_SECONDS)
        self.source.parameters(downtime_limit=ENOUGH_MS)

    def wait(self):
        """Until it is over; returns what the source tells of it then."""
        self.told = self.source.wait_for_migration(is_over, SECONDS)
        return self.told

    def finish(self):
        """Lets it come to its end."""
        self.let_end()
        return self.wait()

    def has_arrived(self):
        """What is wrong with a migration that was completed, before the guest runs on."""
        problems = []
        if self.source.status() != 'postmigrate':
            problems.append(f'the source is {self.source.status()}')
        told = self.destination.wait_for_migration(is_over, END_SECONDS)
        if told.get('status') != 'completed':
            problems.append(f'the destination: {told}')
        if self.destination.status() not in ('paused', 'prelaunch'):
            problems.append(f'the destination is {self.destination.status()}')
        return problems

    def compare(self):
        """What is wrong with the destination's RAM."""
        problems, self.missed = compare(self.guest.folder, self.source.side, self.destination.side)
        return problems

    def go_on(self):
        """The guest has moved, and runs on there."""
        self.guest.move(self.destination)
        self.guest.machine.execute('cont')

    def abandon(self):
        """Nothing of it is left, but for the source."""
        self.way.abandon()
        if self.destination and self.destination is not self.guest.machine:
            self.destination.end()

    def describe(self):
        ram = self.told.get('ram', {})
        return (f'{self.told.get("total-time", 0)} ms, down {self.told.get("downtime", 0)} ms, '
                f'{ram.get("dirty-sync-count", 0)} rounds, {ram.get("normal", 0)} pages, '
                f'{ram.get("duplicate", 0)} zero, {len(self.missed)} missed by QEMU')


def run(migration):
    """A migration that nobody disturbs, until the guest may go on; returns what is wrong."""
    migration.start()
    migration.keep_going()
    told = migration.finish()
    problems = [] if told['status'] == 'completed' else [f'the source: {told}']
    problems += migration.way.end()
    return problems or migration.has_arrived() or migration.compare()


def migrate(guest, way):
    """A whole one, with the guest's own look at its memory. The guest is started anew when it is
    lost. Returns the migration and what is wrong."""
    migration = Migration(guest, way)
    try:
        problems = run(migration)
        if not problems:
            migration.go_on()
            problems = guest.look()
    except MachineError as error:
        problems = [str(error)]
    if problems:
        migration.abandon()
        guest.restart()
    return migration, problems
