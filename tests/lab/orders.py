# SPDX-License-Identifier: MIT
"""What QEMU is told and asked about migrations, whatever the monitor is."""
import time

CLEAN_UP_SECONDS = 20


class MachineError(Exception):
    """QEMU does not do what it was told; the text says what."""


class StuckError(MachineError):
    """A migration has failed, and QEMU never cleans up: it takes no other. Seen with 7.2, once in some hundred."""


def is_over(told):
    """Whether the migration is, of which QEMU tells that."""
    return told.get('status') in ('completed', 'failed', 'cancelled')


class Orders:
    """Of something that can `execute`."""

    def capabilities(self, **states):
        wanted = [{'capability': name.replace('_', '-'), 'state': state}
                  for name, state in states.items()]
        self.execute('migrate-set-capabilities', {'capabilities': wanted})

    def parameters(self, **values):
        self.execute('migrate-set-parameters',
                     {name.replace('_', '-'): value for name, value in values.items()})

    def status(self):
        return self.execute('query-status')['status']

    def migration(self):
        return self.execute('query-migrate')

    def migrate(self, address):
        """Starts a migration, when QEMU has cleaned up after the last one: it may not come earlier."""
        end = time.monotonic() + CLEAN_UP_SECONDS
        while is_over(self.migration()) and self.has_yanks():
            if time.monotonic() > end:
                raise StuckError(f'QEMU has not cleaned up in {CLEAN_UP_SECONDS} s: {self.migration()}')
            time.sleep(0.02)
        self.execute('migrate', {'uri': address})

    def has_yanks(self):
        """Whether it has something of a migration."""
        return any(one['type'] == 'migration' for one in self.execute('query-yank'))
