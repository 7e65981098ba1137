# SPDX-License-Identifier: MIT
"""The wire between two nodes: joined datagram sockets, each packet of their network one datagram.

The lab keeps both ends open beside the nodes that use them, so that it can cut the wire and join it
again: an end whose filter accepts nothing loses each packet sent to it, and its sender sees no error.
"""
import ctypes
import math
import socket
import struct
import time

BUFFER = 8 << 20
# The first of each pair, unknown to Python, goes beyond the system's limit, but needs root.
OPTIONS = ((32, socket.SO_SNDBUF), (33, socket.SO_RCVBUF))
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
BPF_RETURN = 0x06


def make_ends():
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        for force, plain in OPTIONS:
            try:
                end.setsockopt(socket.SOL_SOCKET, force, BUFFER)
            except PermissionError:
                end.setsockopt(socket.SOL_SOCKET, plain, BUFFER)
        end.setblocking(False)
    return ends


def accept_nothing(end):
    instruction = ctypes.create_string_buffer(struct.pack('HBBI', BPF_RETURN, 0, 0, 0))
    program = struct.pack('HP', 1, ctypes.addressof(instruction))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def accept_all(end):
    end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)


class Wire:
    def __init__(self):
        self.ends = make_ends()
        self.is_cut = False
        self.join_at = math.inf

    def cut(self, seconds=math.inf):
        """In both directions, for so long. Packets that an end has already received stay there."""
        self.join_at = time.monotonic() + seconds
        if not self.is_cut:
            self.each(accept_nothing)
        self.is_cut = True

    def join(self):
        self.join_at = math.inf
        if self.is_cut:
            self.each(accept_all)
        self.is_cut = False

    def join_when_due(self):
        if time.monotonic() >= self.join_at:
            self.join()

    def each(self, change):
        for end in self.ends:
            if end.fileno() != -1:
                change(end)

    def leave(self, number):
        """The lab gives up the end of a node that has died: it is then closed, as ever."""
        self.ends[number - 1].close()


def obey(wire, words):
    """Does what `lab-wire WORDS` asks for; returns what is wrong with it, or an empty text."""
    action, *more = words or ['']
    if wire is None:
        return 'there is no wire: this lab has one node'
    if action == 'join' and not more:
        wire.join()
    elif action == 'cut' and len(more) <= 1:
        seconds = seconds_of(more[0]) if more else math.inf
        if seconds is None:
            return f"'{more[0]}' is not a number of seconds"
        wire.cut(seconds)
    else:
        return 'usage: lab-wire cut [SECONDS] | lab-wire join'
    return ''


def seconds_of(text):
    """None for what is no time, such as 0, -1, nan."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < math.inf else None
