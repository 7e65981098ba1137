# SPDX-License-Identifier: MIT
"""What the RAM must be after a migration, told from the bytes that QEMU sends, without multifd.

The RAM of a guest that has run is not enough to compare with: with software emulation QEMU 7.2
misses some writes: 0 to 38 of 70,000 pages in fourteen migrations had a content in the end that was
in no packet. It also sends some pages twice in a round, on two channels, so that either may come
last. But what it has sent must have arrived, exactly.
"""
import array
import ctypes
import mmap
import struct
import threading
import zlib

PAGE = 4096
INIT = 64
HEADER = 320 + 8 * 128
SYNC = 1
LIMIT = 10               # seconds
FOR_EVER = 1 << 62       # bytes that nobody asks for


class Reader:
    """Gives a generator as many bytes as it asks for, from pieces of any size."""

    def __init__(self, generator):
        self.generator = generator
        self.wanted = next(generator)
        self.buffer = bytearray()

    def take(self, data):
        self.buffer += data
        at = 0
        while len(self.buffer) - at >= self.wanted:
            part = bytes(self.buffer[at:at + self.wanted])
            at += self.wanted
            self.wanted = self.generator.send(part)
        del self.buffer[:at]


class Zstd:
    """One frame that never ends; Python 3.11 has no module for it."""

    class Buffer(ctypes.Structure):
        _fields_ = [('address', ctypes.c_void_p), ('size', ctypes.c_size_t),
                    ('at', ctypes.c_size_t)]

    def __init__(self):
        self.library = ctypes.CDLL('libzstd.so.1')
        self.library.ZSTD_createDCtx.restype = ctypes.c_void_p
        self.library.ZSTD_decompressStream.restype = ctypes.c_size_t
        self.context = ctypes.c_void_p(self.library.ZSTD_createDCtx())
        self.room = ctypes.create_string_buffer(1 << 20)

    def __del__(self):
        self.library.ZSTD_freeDCtx(self.context)

    def decompress(self, data):
        source = ctypes.create_string_buffer(data, len(data))
        taken = self.Buffer(ctypes.addressof(source), len(data), 0)
        made = self.Buffer(ctypes.addressof(self.room), len(self.room), 0)
        while taken.at < taken.size:
            left = self.library.ZSTD_decompressStream(self.context, ctypes.byref(made),
                                                      ctypes.byref(taken))
            if self.library.ZSTD_isError(ctypes.c_size_t(left)):
                raise ValueError('zstd: the payload is damaged')
        return self.room.raw[:made.at]


class Plain:
    @staticmethod
    def decompress(data):
        return data


UNPACKERS = {'nocomp': Plain, 'zlib': zlib.decompressobj, 'zstd': Zstd}


class Habits:
    """What one channel has carried, as far as receivers stumble over it."""

    def __init__(self):
        self.packets = 0
        self.pages = 0
        self.payload = 0
        self.syncs = 0
        self.sync_with_pages = 0     # SYNC on a packet that has pages
        self.neither = 0             # neither pages nor SYNC
        self.stale_sizes = 0         # no pages, but the size of a payload that does not follow
        self.stale_names = 0         # no pages, but a RAM block
        self.numbers_again = 0       # a packet's number is that of the packet before

    def add(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Packet:
    """A header on a channel."""

    def __init__(self, header):
        self.flags, _, self.pages, self.size, self.number = struct.unpack_from('>4IQ', header, 8)
        self.block = header[64:320].partition(b'\0')[0].decode()
        self.offsets = struct.unpack_from(f'>{self.pages}Q', header, 320)
        self.sync = bool(self.flags & SYNC)
        self.payload = self.size if self.pages else 0

    def note(self, habits, last_number):
        habits.packets += 1
        habits.pages += self.pages
        habits.payload += self.payload
        habits.syncs += self.sync
        habits.sync_with_pages += bool(self.sync and self.pages)
        habits.neither += not self.sync and not self.pages
        habits.stale_sizes += not self.pages and self.size != 0
        habits.stale_names += not self.pages and self.block != ''
        habits.numbers_again += self.number == last_number


class Block:
    def __init__(self, length):
        self.memory = mmap.mmap(-1, length)
        self.rounds = array.array('I', bytes(length // PAGE * 4))   # the last that a page came in
        self.others = {}    # offset: more contents that the page had in that round

    def put(self, turn, offset, data):
        last = self.rounds[offset // PAGE]
        if turn < last:
            return
        if turn == last:
            self.others.setdefault(offset, []).append(self.memory[offset:offset + PAGE])
        else:
            self.others.pop(offset, None)
        self.rounds[offset // PAGE] = turn
        self.memory[offset:offset + PAGE] = data

    def differs(self, path):
        """The offsets of pages that are not in the file as they came."""
        with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as got:
            return [offset for offset in range(0, max(len(got), len(self.memory)), PAGE)
                    if got[offset:offset + PAGE] != self.memory[offset:offset + PAGE]
                    and got[offset:offset + PAGE] not in self.others.get(offset, [])]


class Witness:
    """Follows the main connection and the channels. One that runs ahead is no trouble: of a page
    that comes twice the one of the later round stays."""

    def __init__(self, method):
        self.method = method
        self.blocks = {}
        self.last_name = None   # of a zero page
        self.blocks_known = threading.Event()
        self.lock = threading.Lock()
        self.habits = []
        self.done = False       # all RAM has come

    def close(self):
        """Gives the memory back."""
        for block in self.blocks.values():
            block.memory.close()

    def follow_main(self):
        return Reader(self.main())

    def follow_channel(self):
        habits = Habits()
        self.habits.append(habits)
        return Reader(self.channel(habits))

    def all_habits(self):
        total = Habits()
        for habits in self.habits:
            total.add(habits)
        return total

    def put(self, name, turn, offsets, data):
        if not self.blocks_known.wait(LIMIT):
            raise TimeoutError('pages, but no list of RAM blocks')
        with self.lock:
            block = self.blocks[name]
            for number, offset in enumerate(offsets):
                block.put(turn, offset, data[number * PAGE:(number + 1) * PAGE])

    def channel(self, habits):
        unpacker = UNPACKERS[self.method]()
        number = None
        turn = 0
        yield INIT
        while True:
            packet = Packet((yield HEADER))
            packet.note(habits, number)
            number = packet.number
            if packet.pages:
                data = unpacker.decompress((yield packet.payload))
                if len(data) != packet.pages * PAGE:
                    raise ValueError(f'{len(data)} bytes for {packet.pages} pages')
                self.put(packet.block, turn, packet.offsets, data)
            turn += packet.sync

    def main(self):
        yield 8                                                  # magic, version
        yield struct.unpack('>xI', (yield 5))[0]                 # configuration
        turn = 0
        kind = (yield 1)[0]
        while kind == 8:                                         # commands
            length = struct.unpack('>2xH', (yield 4))[0]
            if length:
                yield length
            kind = (yield 1)[0]
        while True:
            yield 4                                              # the section's id
            if kind == 1:
                yield 1 + 3 + 8                                  # "ram", instance, version
                yield from self.list_of_blocks()
            yield from self.records(turn)
            turn += 1
            yield 5                                              # the footer
            if kind == 3:
                break
            kind = (yield 1)[0]
        self.done = True
        yield FOR_EVER

    def list_of_blocks(self):
        left = struct.unpack('>Q', (yield 8))[0] & -PAGE
        while left:
            name = yield (yield 1)[0]
            length = struct.unpack('>Q', (yield 8))[0]
            self.blocks[name.decode()] = Block(length)
            left -= length
        self.blocks_known.set()

    def records(self, turn):
        while True:
            word = struct.unpack('>Q', (yield 8))[0]
            if word == 0x10:
                return
            if not word & 0x20:
                self.last_name = (yield (yield 1)[0]).decode()
            yield 1                                              # 0: what the page is full of
            self.put(self.last_name, turn, [word & -PAGE], bytes(PAGE))
