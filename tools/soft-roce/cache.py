# SPDX-License-Identifier: MIT
"""The cache: what an engine needs, installed and built on first use.

It is built again when the build files or the version of the kernel change.

  linux-uml, linux-uml.key      the UML kernel
  vm/vmlinuz, vm/initrd, vm/key the VM's kernel and initramfs
  uml.lock, vm.lock             held while one is checked, built or opened
"""
import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from common import HERE, LabError, remove_folder, say
from janitor import end_process

NODE_PACKAGES = ['iproute2', 'ibverbs-providers', 'busybox-static']
PACKAGES = {'uml': NODE_PACKAGES, 'vm': NODE_PACKAGES + ['qemu-system-x86']}
BUILD_PACKAGES = {'uml': ['linux-source-6.1', 'flex', 'bison', 'bc', 'libelf-dev', 'xz-utils',
                          'make', 'gcc', 'libc6-dev'],
                  'vm': ['kmod', 'cpio']}
BUILD_FILES = {'uml': ['uml-build', 'uml-options', 'crc32_pclmul.c'], 'vm': ['vm-build', 'vm-init']}
RESULTS = {'uml': ['linux-uml'], 'vm': ['vm/vmlinuz', 'vm/initrd']}
KEYS = {'uml': 'linux-uml.key', 'vm': 'vm/key'}
APT_LISTS = '/var/lib/apt/lists'


def cache_folder():
    folder = os.environ.get('LAB_CACHE') or os.path.expanduser('~/.cache/multifd-lab')
    return os.path.abspath(folder)


def results(engine):
    return [os.path.join(cache_folder(), name) for name in RESULTS[engine]]


def installed_version(package):
    """The installed version, or None."""
    query = subprocess.run(['dpkg-query', '-W', '-f', '${db:Status-Status} ${Version}', package],
                           capture_output=True, text=True, check=False)
    status, _, version = query.stdout.partition(' ')
    return version if status == 'installed' else None


def run_as_root(command):
    """Returns whether it succeeded; its output is shown only when it did not."""
    if os.geteuid() != 0:
        if not shutil.which('sudo'):
            raise LabError(f'not root and no sudo here; as root, run: {" ".join(command)}')
        command = ['sudo', *command]
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace', check=False)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
    return done.returncode == 0


def apt_update():
    if not run_as_root(['apt-get', 'update', '-q']):
        raise LabError('apt-get update failed')


def packages(engine):
    """What it takes to build and to run the engine."""
    return PACKAGES[engine] + BUILD_PACKAGES[engine]


def install(wanted):
    missing = [package for package in wanted if not installed_version(package)]
    if not missing:
        return
    if not shutil.which('apt-get'):
        raise LabError(f'no apt-get here; these Debian packages are needed: {" ".join(missing)}')
    say(f'installing {" ".join(missing)}')
    command = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', *missing]
    if not glob.glob(f'{APT_LISTS}/*_Packages*'):
        apt_update()
    if not run_as_root(command):
        apt_update()   # the lists may be older than what the mirror still has
        if not run_as_root(command):
            raise LabError(f'apt-get cannot install {" ".join(missing)}')


def vm_kernel_package():
    """The name of Debian's current kernel package; it carries the kernel's version."""
    depends = subprocess.run(['apt-cache', 'depends', 'linux-image-amd64'], capture_output=True,
                             text=True, check=False)
    package = re.search(r'Depends: (linux-image-\S+)', depends.stdout)
    return package[1] if package else None


def kernel_version(engine):
    """The version that a build would take now, or None when that cannot be told here."""
    if engine == 'uml':
        return installed_version('linux-source-6.1')
    return vm_kernel_package() if shutil.which('apt-cache') else None


def files_key(engine):
    digest = hashlib.sha256()
    for name in BUILD_FILES[engine]:
        with open(os.path.join(HERE, name), 'rb') as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_key(engine):
    """The cached build's (key of its files, kernel version)."""
    try:
        with open(os.path.join(cache_folder(), KEYS[engine]), encoding='ascii') as file:
            files, version = file.read().split()
            return files, version
    except (OSError, ValueError):
        return None, None


def is_cached(engine):
    can_be_read = all(os.access(path, os.R_OK) for path in results(engine))
    return can_be_read and read_key(engine)[0] == files_key(engine)


def version_changed(engine):
    """Asks apt (which takes a second) only when its lists are newer than the cached build."""
    if engine == 'vm':
        key = os.path.join(cache_folder(), KEYS[engine])
        if not os.path.isdir(APT_LISTS) or os.path.getmtime(key) > os.path.getmtime(APT_LISTS):
            return False
    version = kernel_version(engine)
    if version in (None, read_key(engine)[1]):
        with contextlib.suppress(OSError):
            os.utime(os.path.join(cache_folder(), KEYS[engine]))
        return False
    return True


def build(engine, janitor):
    install(packages(engine))
    if not kernel_version(engine):
        apt_update()
    version = kernel_version(engine)
    if not version:
        raise LabError('apt knows no linux-image-amd64; the lab needs Debian 12')
    key = f'{files_key(engine)} {version}\n'
    work = tempfile.mkdtemp(prefix='build.', dir=cache_folder())
    janitor.tell('folder', work)
    try:
        what = {'uml': 'building a UML kernel, about 4 minutes', 'vm': f'unpacking {version}'}
        say(f'{what[engine]} (kept in {cache_folder()})')
        run_build_script(engine, work, version, janitor)
        keep(engine, work, key)
    finally:
        remove_folder(work)


def run_build_script(engine, work, version, janitor):
    command = [os.path.join(HERE, f'{engine}-build'), work] + ([version] if engine == 'vm' else [])
    with open(os.path.join(work, 'log'), 'w+', encoding='utf-8', errors='replace') as log:
        script = janitor.start(command, stdout=log, stderr=log)
        try:
            if script.wait() == 0:
                return
        finally:
            end_process(script)
        log.seek(0)
        raise LabError(f'{engine}-build failed:\n' + ''.join(log.readlines()[-30:]))


def keep(engine, work, key):
    """Moves the results into the cache; the key last, so that it is never that of other results."""
    path = os.path.join(cache_folder(), KEYS[engine])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    for target in results(engine):
        os.replace(os.path.join(work, os.path.basename(target)), target)
    with open(path, 'w', encoding='ascii') as file:
        file.write(key)


def wait_for_lock(lock, engine):
    for _ in range(100):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)
    say(f'waiting for another process that prepares the engine {engine}')
    fcntl.flock(lock, fcntl.LOCK_EX)


@contextlib.contextmanager
def locked(engine):
    path = os.path.join(cache_folder(), f'{engine}.lock')
    try:
        os.makedirs(cache_folder(), exist_ok=True)
        with contextlib.suppress(PermissionError), open(path, 'a', encoding='ascii'):
            os.chmod(path, 0o644)
        lock = os.open(path, os.O_RDONLY)
    except OSError as error:
        if not is_cached(engine):
            raise LabError(f'cannot use the cache (LAB_CACHE names another): {error}') from None
        yield
        return
    try:
        wait_for_lock(lock, engine)
        yield
    finally:
        os.close(lock)


def prepare(engine, janitor):
    """Makes sure that the engine can run; returns its results as open files.

    Open, they stay what they are when another process replaces them."""
    os.umask(0o022)   # a cache in a common folder is read by other users
    install(PACKAGES[engine])
    with locked(engine):
        if not is_cached(engine):
            build(engine, janitor)
        elif version_changed(engine):
            try:
                build(engine, janitor)
            except LabError as error:
                say(f'keeping the kernel {read_key(engine)[1]}: {error}')
        return [os.open(path, os.O_RDONLY) for path in results(engine)]
