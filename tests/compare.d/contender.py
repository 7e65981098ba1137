# SPDX-License-Identifier: MIT
"""What takes part in a comparison: a program of ours or a peer's, or two that talk to each other."""
import hashlib
import os

CHUNK = 1 << 20
START_SECONDS = 10      # that a server may take


class Failure(Exception):
    """A contender has failed; the text tells why. `again`: it is known to fail now and then."""

    def __init__(self, text, again=False):
        super().__init__(text)
        self.again = again


class Place:
    """Where a turn takes place."""

    def __init__(self, folder, address, device=None):
        self.folder = folder        # for guest memory and what programs tell
        self.address = address      # of the server
        self.device = device        # the RDMA device; None: there is none
        self.source = None          # the file with the memory that is moved
        self.mib = 0                # and its size
        self.normal = 0             # bytes of its pages that are not zero
        self.renew = None           # what makes it anew for each turn, if that must be
        self.port = 20000

    def next_port(self):
        self.port += 1
        return self.port

    def path(self, name):
        return os.path.join(self.folder, name)


class Contender:
    """The three parts of a turn, in this order; each returns what JSON can hold.

    `finish` and `clean` may be called whatever has failed before."""

    def __init__(self, name):
        self.name = name
        self.words = []     # its options

    def serve(self, place):
        """At the server: starts it; returns its port when a client can connect."""
        return place.next_port()

    def drive(self, place, port):
        """At the client: does all; returns {'values': {MEASURE: NUMBER}, ...}."""
        raise NotImplementedError

    def finish(self, place):
        """At the server: after the client has ended; returns {...}."""
        return {}

    def clean(self, place):
        """At both: ends and removes what is left."""


def digest(path):
    total = hashlib.sha256()
    with open(path, 'rb') as file:
        while data := file.read(CHUNK):
            total.update(data)
    return total.hexdigest()


def ended_well(result, seconds):
    """A program's Result, when it has worked."""
    if result.status is None:
        raise Failure(f'no end within {seconds} s: {last_line(result)}')
    if result.status != 0:
        raise Failure(f'status {result.status}: {last_line(result)}')
    return result


def await_start(program, is_up, otherwise, every=0.01):
    """Waits until a server is: what is the matter `otherwise`."""
    if not program.wait_until(is_up, START_SECONDS, every):
        raise Failure(f'{otherwise}: {last_line(program.wait(0))}')


def await_ready(server, otherwise):
    """The same, of one that says itself when a source can connect."""
    await_start(server, server.is_ready, otherwise)


def last_line(result):
    lines = (result.err.strip() or result.out.strip() or 'it said nothing').splitlines()
    return lines[-1]
