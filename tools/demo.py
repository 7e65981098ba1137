# SPDX-License-Identifier: MIT
"""Moves the memory of a real Linux guest over RDMA, with multifd recv and multifd send.

Installs what is missing (Debian's apt, with sudo when not root), builds the project, boots a guest
in QEMU by software emulation, pauses it, and moves its memory: over the host's RDMA device or,
when it has none, over soft-RoCE in the lab (see lab --help). Keeps nothing but the build, in
${MULTIFD_BUILD:-build/demo}, and the lab's cache. Exit status: 0 when both sides are equal.
"""
import argparse
import glob
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
TOOLS = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(TOOLS)
sys.path.insert(0, os.path.join(TOOLS, 'soft-roce'))

import cache
from common import LabError, remove_folder
from janitor import Janitor, end_process

BUILD_PACKAGES = ['cmake', 'make', 'gcc', 'libc6-dev', 'pkg-config', 'libibverbs-dev',
                  'librdmacm-dev', 'libssl-dev', 'zlib1g-dev', 'libzstd-dev', 'libjansson-dev',
                  'systemtap-sdt-dev']
RAM_MIB = 256
GUEST_FILES_MIB = 32
BOOT_SECONDS = 120
GUEST_IS_UP = 'guest is up'
STAGES = 6

GUEST_INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=75% ram /ram
cp -r /files /ram/files
dd if=/dev/urandom of=/ram/random bs=1M count={RAM_MIB // 4} 2> /dev/null
sort -r /proc/kallsyms > /ram/symbols
for number in 1 2 3 4; do sh -c 'while :; do date > /ram/clock.$$; sleep 1; done' & done
echo "$(uname -s -r): $(ps | wc -l) processes, $(du -sm /ram | cut -f 1) MiB of files in memory"
free -m
echo '{GUEST_IS_UP}'
while :; do sleep 1000; done
"""

TRANSFER = """
set -euo pipefail
folder=$(mktemp -d /dev/shm/multifd-demo.XXXXXX)
trap 'rm -rf "$folder"' EXIT
"$multifd" recv "rdma:$LAB_ADDRESS:0" --quiet --ready "$folder/port" \\
  --ram "pc.ram=$folder/ram,size=$size" > "$folder/log" 2>&1 &
until [[ -s $folder/port ]]; do
  kill -0 $! 2> /dev/null || { cat "$folder/log"; exit 1; }
  sleep 0.1
done
echo "the destination listens on rdma:$LAB_ADDRESS:$(< "$folder/port"), device $LAB_DEVICE"
"$multifd" send "rdma:$LAB_ADDRESS:$(< "$folder/port")" --channels 4 --verify \\
  --ram "pc.ram=${source//,/,,}"
wait $! || { cat "$folder/log"; exit 1; }
cmp "$source" "$folder/ram"
echo "cmp: source and destination are equal"
"""


class DemoError(Exception):
    """A stage failed; the text tells why."""


class Stages:
    def __init__(self):
        self.number = 0
        self.start = time.monotonic()

    def begin(self, what):
        self.number += 1
        seconds = time.monotonic() - self.start
        print(f'\n[{self.number}/{STAGES}] {what}  ({seconds:.0f} s)', flush=True)


def escape(path):
    """A comma ends a value in QEMU's options."""
    return path.replace(',', ',,')


class Qemu:
    """QEMU with its QMP monitor on standard input and output."""

    def __init__(self, argv, janitor, **more):
        self.events = []    # what it has told without being asked
        self.process = janitor.start(['qemu-system-x86_64', '-nodefaults', '-no-user-config',
                                      '-display', 'none', '-accel', 'tcg', '-cpu', 'qemu64', *argv,
                                      '-qmp', 'stdio'],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)
        self.execute('qmp_capabilities')

    def read(self):
        """What it says next; None at the end. It prints messages of its own there, too."""
        for line in self.process.stdout:
            if line.startswith('{'):
                return json.loads(line)
        return None

    def execute(self, command, arguments=None):
        request = {'execute': command, 'arguments': arguments or {}}
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()
        while answer := self.read():
            if 'error' in answer:
                raise DemoError(f'QEMU: {command}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']
            self.events.append(answer)
        raise DemoError(f'QEMU ended at {command}')

    def delete(self):
        end_process(self.process)


def ram_words(path, mib):
    """Of a machine whose memory is a file."""
    memory = f'id=pc.ram,size={mib}M,share=on,mem-path={escape(path)}'
    return ['-machine', 'pc,memory-backend=pc.ram', '-m', str(mib),
            '-object', f'memory-backend-file,{memory}']


class Guest(Qemu):
    """A machine that boots Linux."""

    def __init__(self, work, janitor, more=(), log=None, mib=RAM_MIB):
        self.ram = os.path.join(work, 'ram')
        self.console = os.path.join(work, 'console')
        super().__init__([*ram_words(self.ram, mib),
                          '-kernel', cache.results('vm')[0], '-initrd', os.path.join(work, 'initrd'),
                          '-append', 'console=ttyS0 quiet panic=-1',
                          '-serial', f'file:{escape(self.console)}', *more], janitor, stderr=log)

    def console_text(self):
        with open(self.console, encoding='utf-8', errors='replace') as file:
            return file.read()

    def wait_until_up(self):
        end = time.monotonic() + BOOT_SECONDS
        while GUEST_IS_UP not in self.console_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise DemoError(f'the guest did not boot; its console:\n{self.console_text()}')
            time.sleep(0.2)


def run(janitor, argv, log=None, **more):
    """Runs a command to its end; its output is shown, or kept in `log` and shown on failure."""
    output = open(log, 'ab') if log else None
    process = janitor.start(argv, stdout=output, stderr=output and subprocess.STDOUT, **more)
    try:
        if process.wait() == 0:
            return
    finally:
        end_process(process)
    if log:
        with open(log, encoding='utf-8', errors='replace') as file:
            print(''.join(file.readlines()[-30:]), file=sys.stderr)
    raise DemoError(f'{" ".join(argv[:3])} failed with status {process.returncode}')


def build(work, janitor, name='demo', more=()):
    """Returns the command's path. `name` is the folder's below build, `more` is for cmake."""
    folder = os.path.join(ROOT, os.environ.get('MULTIFD_BUILD') or os.path.join('build', name))
    folder = os.path.abspath(folder)
    log = os.path.join(work, 'build.log')
    run(janitor, ['cmake', '-S', ROOT, '-B', folder, '-DMULTIFD_TESTS=OFF', *more], log)
    run(janitor, ['cmake', '--build', folder, '--parallel', str(os.cpu_count())], log)
    return os.path.join(folder, 'tools/multifd/multifd')


def guest_files():
    """The largest libraries of the host, as content for the guest's memory."""
    libraries = glob.glob('/usr/lib/x86_64-linux-gnu/*.so.*')
    files = [path for path in libraries if not os.path.islink(path)]
    room = GUEST_FILES_MIB << 20
    for path in sorted(files, key=os.path.getsize, reverse=True):
        if os.path.getsize(path) <= room and os.access(path, os.R_OK):
            room -= os.path.getsize(path)
            yield path


def make_initrd(work, janitor, init=GUEST_INIT):
    tree = os.path.join(work, 'tree')
    for name in ('bin', 'proc', 'ram', 'dev', 'files'):
        os.makedirs(os.path.join(tree, name))
    run(janitor, ['cp', '/bin/busybox', os.path.join(tree, 'bin')])
    run(janitor, ['cp', *guest_files(), os.path.join(tree, 'files')])
    with open(os.path.join(tree, 'init'), 'w', encoding='ascii') as file:
        file.write(init)
    os.chmod(file.name, 0o755)
    run(janitor, ['sh', '-c', 'find . | cpio --quiet -o -H newc > ../initrd'], cwd=tree)


def transfer(work, guest, multifd, janitor):
    settings = {'multifd': multifd, 'source': guest.ram, 'size': f'{RAM_MIB}M'}
    lines = [f'{name}={shlex.quote(value)}\n' for name, value in settings.items()]
    # Shared, since a node has a /tmp of its own, and either may be below /tmp; the build with its library.
    built = multifd.removesuffix('tools/multifd/multifd')
    shares = ['--share', work, '--share', built]
    run(janitor, [os.path.join(TOOLS, 'lab'), *shares, ''.join(lines) + TRANSFER])


def demonstrate(work, janitor):
    stages = Stages()
    stages.begin('packages')
    cache.install(BUILD_PACKAGES + cache.packages('vm'))
    stages.begin('build')
    multifd = build(work, janitor)
    stages.begin("lab and the guest's kernel")
    cache.prepare('vm', janitor)
    make_initrd(work, janitor)
    stages.begin(f'boot a Linux guest with {RAM_MIB} MiB in QEMU')
    guest = Guest(work, janitor)
    try:
        guest.wait_until_up()
        print(guest.console_text().strip())
        stages.begin('pause the guest')
        guest.execute('stop')
        print(f"QEMU: the guest is {guest.execute('query-status')['status']}")
        stages.begin("move the guest's memory over 4 RDMA channels")
        transfer(work, guest, multifd, janitor)
    finally:
        guest.delete()
    print(f'\nDone in {time.monotonic() - stages.start:.0f} s.')


def on_signal(number, _frame):
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)   # the clean-up runs to its end
    sys.exit(128 + number)


def main():
    argparse.ArgumentParser(prog='demo', description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    janitor = Janitor()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    work = tempfile.mkdtemp(prefix='multifd-demo-', dir=os.environ.get('TMPDIR', '/var/tmp'))
    janitor.tell('folder', work)
    try:
        demonstrate(work, janitor)
        return 0
    except (DemoError, LabError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    finally:
        remove_folder(work)
        janitor.dismiss()


if __name__ == '__main__':
    sys.exit(main())
