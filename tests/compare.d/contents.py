# SPDX-License-Identifier: MIT
"""The memory that is moved: random; a booted guest's, all of it in place or as it lies in its file."""
import os
import shutil
import subprocess

import demo
import cache
import machine

HERE = os.path.dirname(os.path.realpath(__file__))
REWRITER = os.path.join(os.path.dirname(HERE), 'lab', 'rewriter.c')

CHUNK = 1 << 20
PAGE = 4 << 10
ZEROS = bytes(PAGE)
GUESTS = ('guest', 'fresh guest')       # the second with the holes of what the guest never touched


def make_random(path, mib):
    with open(path, 'wb') as file:
        for _ in range(mib):
            file.write(os.urandom(CHUNK))


def make_guest(path, mib, work, janitor):
    """The memory of a Linux guest that has booted, has some files in memory, and stands still."""
    cache.prepare('vm', janitor)
    demo.make_initrd(work, janitor)
    guest = demo.Guest(work, janitor, mib=mib)
    try:
        guest.wait_until_up()
        guest.execute('stop')
        os.link(guest.ram, path)
    finally:
        guest.delete()


def make_running(work, janitor):
    """A guest that runs, in a folder; see tests/lab/machine.py."""
    folder = os.path.join(work, 'running')
    os.makedirs(folder)
    program = os.path.join(folder, 'rewriter')
    subprocess.run(['cc', '-O2', '-static', '-D_GNU_SOURCE', '-o', program, REWRITER], check=True)
    for file in cache.prepare('vm', janitor):
        os.close(file)
    machine.save(folder, program, cache.results('vm')[0])
    return folder


def extents(path):
    """[start, end] of all that is no hole. A node does not see that of a file of the host's."""
    found, end, size = [], 0, os.path.getsize(path)
    with open(path, 'rb') as file:
        while end < size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:     # only a hole is left
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append([start, end])
    return found


def bytes_not_zero(path):
    """Of whole pages."""
    with open(path, 'rb') as file:
        return PAGE * sum(page != ZEROS for page in iter(lambda: file.read(PAGE), b''))


def describe(path, holes):
    return {'path': path, 'extents': extents(path) if holes else None, 'normal': bytes_not_zero(path)}


def make(names, mib, work, janitor):
    """Name: {'path', 'extents' or None, 'normal': bytes of pages that are not zero}, of these."""
    made = {}
    if 'random' in names:
        path = os.path.join(work, 'content-random')
        make_random(path, mib)
        made['random'] = describe(path, False)
    guests = [name for name in GUESTS if name in names]
    if guests:
        path = os.path.join(work, 'content-guest')
        folder = os.path.join(work, 'guest')
        os.makedirs(folder)
        make_guest(path, mib, folder, janitor)
        for name in guests:
            made[name] = describe(path, name == 'fresh guest')
    return made


def put(content, path):
    """Makes the file, without holes, or with all that the content has."""
    if content['extents'] is None:
        shutil.copyfile(content['path'], path)
        return
    with open(content['path'], 'rb') as source, open(path, 'wb') as file:
        file.truncate(os.path.getsize(content['path']))
        for start, end in content['extents']:
            source.seek(start)
            file.seek(start)
            for at in range(start, end, CHUNK):
                file.write(source.read(min(CHUNK, end - at)))
