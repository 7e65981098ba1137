# SPDX-License-Identifier: MIT
"""Two nodes that do the same steps: they meet in a folder that both can write, since the wire
between them may be cut."""
import json
import os
import time


class Meeting:
    def __init__(self, folder, me, other):
        self.folder = folder
        self.me = me
        self.other = other
        self.step = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        """The other need not wait for one that has failed."""
        if kind:
            self.write('gone', None)

    def meet(self, data=None, seconds=180):
        """Waits until the other node is here too; each gets what the other brings."""
        self.step += 1
        self.write(self.step, data)
        theirs = self.file(self.step, self.other)
        end = time.monotonic() + seconds
        while not os.path.exists(theirs):
            if time.monotonic() > end or os.path.exists(self.file('gone', self.other)):
                raise TimeoutError(f'{self.other} does not come to step {self.step}')
            time.sleep(0.02)
        with open(theirs, encoding='utf-8') as file:
            return json.load(file)

    def file(self, step, who):
        return os.path.join(self.folder, f'{step}.{who}')

    def write(self, step, data):
        mine = self.file(step, self.me)
        with open(f'{mine}.new', 'w', encoding='utf-8') as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(f'{mine}.new', mine)
