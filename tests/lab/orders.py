# SPDX-License-Identifier: MIT
"""What QEMU is told and asked about migrations, whatever the monitor is."""
import time

CLEAN_UP_SECONDS = 20


def is_over(told):
    """Whether the migration is, of which QEMU tells that."""
    return told.get('status') in ('completed', 'failed', 'cancelled')


class Orders:
    """Of something that can `execute`."""
    refused = Exception     # what that raises

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
        """Starts a migration; one that has just failed may not be cleaned up yet."""
        end = time.monotonic() + CLEAN_UP_SECONDS
        while True:
            try:
                self.execute('migrate', {'uri': address})
                return
            except self.refused as error:
                if 'yank' not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(0.05)
