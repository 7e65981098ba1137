# SPDX-License-Identifier: MIT
"""What every part of the lab uses."""
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
EXIT_LAB = 125       # the lab itself failed
EXIT_TIMEOUT = 124
NODES_OWN = ('/tmp', '/run', '/dev/shm')     # folders that a node has laid its own over


class LabError(Exception):
    """The lab cannot do what it was asked; the text tells the user why."""


def say(text):
    print(f'lab: {text}', file=sys.stderr, flush=True)


def read(path):
    """What a small file says, or an empty text."""
    try:
        with open(path, encoding='ascii') as file:
            return file.read().strip()
    except OSError:
        return ''


def scratch_folder(size=0, executable=False):
    """A folder with room for `size` bytes, in memory if there is one.

    Its name goes on a kernel's command line, so it has no blank."""
    candidates = ['/dev/shm', os.environ.get('TMPDIR', '/var/tmp'), '/var/tmp', '/tmp']
    for folder in candidates:
        if not os.access(folder, os.W_OK | os.X_OK) or len(folder.split()) != 1:
            continue
        space = os.statvfs(folder)
        may_run = not space.f_flag & os.ST_NOEXEC
        if space.f_bavail * space.f_frsize >= size and (may_run or not executable):
            return folder
    raise LabError(f'none of {", ".join(candidates)} has {size >> 20} MiB to spare'
                   + (' where programs may run' if executable else ''))


def shares(*folders):
    """The lab's words with which nodes see these folders, wherever they are."""
    real = [os.path.realpath(folder) for folder in folders]
    hidden = [folder for folder in real if folder.startswith(tuple(f'{own}/' for own in NODES_OWN))]
    return [word for folder in hidden for word in ('--share', folder)]


def bytes_of(text):
    """2G -> bytes."""
    units = {'K': 10, 'M': 20, 'G': 30, 'T': 40}
    unit = text[-1:].upper()
    number = text[:-1] if unit in units else text
    if not number.isdigit() or int(number) == 0:
        raise LabError(f"'{text}' is not a size such as 512M or 2G")
    return int(number) << units.get(unit, 0)


def remove_folder(path):
    """Also when processes that were just killed still write into it."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.exists(path):
            return
        time.sleep(0.1)
