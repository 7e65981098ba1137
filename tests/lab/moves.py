# SPDX-License-Identifier: MIT
"""What the tests share that move the rewriter's guest in one node."""
import os

import saved_guest
import session
from migration import Guest, migrate


class Test:
    def __init__(self, setting, name):
        self.setting = setting
        self.name = name
        self.folder = os.path.join(session.FOLDER, 'guest')
        os.makedirs(self.folder)
        self.guest = Guest(saved_guest.folder(setting), self.folder)
        self.port = 5000
        self.rounds = []
        self.missed = 0          # pages, by QEMU

    def check(self, name, problems, note=''):
        self.setting.tap.check(f'{self.name}: {name}', problems, note)

    def path(self, name):
        return f'unix:{os.path.join(self.folder, name)}'

    def move(self, name, way):
        migration, problems = migrate(self.guest, way)
        self.rounds.append(migration.told.get('ram', {}).get('dirty-sync-count', 0))
        self.missed += len(migration.missed)
        self.check(name, problems, migration.describe())
