# SPDX-License-Identifier: MIT
"""Between QEMU and who receives: passes everything on, with a witness that sees it first."""
import contextlib
import os
import socket
import threading

CHUNK = 1 << 20


class Proxy:
    """Listens on a path of its own; every connection gets one to the other side, in this order."""

    def __init__(self, path, other, witness):
        self.path = path
        self.address = f'unix:{path}'
        self.other = other
        self.witness = witness
        self.sockets = []
        self.threads = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(256)
        self.start(self.accept)

    def start(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        follow = self.witness.follow_main      # QEMU's first connection
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            self.sockets += [here, there]
            try:
                there.connect(self.other)
            except OSError:
                here.close()
                continue
            self.start(self.pass_on, here, there, follow())
            self.start(self.pass_on, there, here, None)
            follow = self.witness.follow_channel

    @staticmethod
    def pass_on(source, target, reader):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if reader:
                    reader.take(data)
                target.sendall(data)
        for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)

    def cut(self):
        """Breaks every connection."""
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        for thread in self.threads:
            thread.join(10)
        for end in self.sockets:
            end.close()
        os.unlink(self.path)
