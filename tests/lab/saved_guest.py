# SPDX-License-Identifier: MIT
"""The rewriter's guest for the nodes: booted on the host, since in a node that may take minutes."""
import atexit
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(1, os.path.join(os.path.dirname(os.path.dirname(HERE)), 'tools', 'soft-roce'))

import cache
import machine
from common import remove_folder
from janitor import Janitor


def folder(setting):
    return os.path.join(setting.build, 'tests', 'lab', f'guest-{setting.engine}-{setting.seed}')


def make(setting):
    """On the host, for as long as the test runs."""
    janitor = Janitor()
    janitor.tell('folder', folder(setting))
    atexit.register(janitor.dismiss)
    atexit.register(remove_folder, folder(setting))
    cache.install(cache.packages('vm'))
    for file in cache.prepare('vm', janitor):
        os.close(file)
    os.makedirs(folder(setting))
    machine.save(folder(setting), os.path.join(setting.build, 'tests', 'lab', 'rewriter'),
                 cache.results('vm')[0])
