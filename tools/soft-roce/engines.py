# SPDX-License-Identifier: MIT
"""How the nodes of each engine are started."""
import os
import subprocess

from cache import results
from common import LabError, bytes_of, read, scratch_folder
from cores import claim_core
from janitor import end_process

PROBE_SECONDS = 10


def mac(number):
    return f'02:00:00:00:00:{number:02x}'


class Uml:
    """User Mode Linux: a kernel as a process of the host, with one CPU, pinned to a core."""

    def __init__(self, files, options, _janitor):
        self.kernel = files[0]
        self.options = options
        self.memory = scratch_folder(bytes_of(options.mem), executable=True)
        self.cores = set()

    def start(self, node, end):
        argv = ['linux-uml', f'mem={self.options.mem}',
                'root=/dev/root', 'rootfstype=hostfs', 'rootflags=/', 'ro',
                'con=null', 'con0=null,fd:1', 'ssl=null', 'panic=-1', 'quiet']
        files = [self.kernel]
        if end:
            files.append(end.fileno())
            argv.append(f'vec0:transport=fd,fd={end.fileno()},depth=64,mtu={self.options.mtu},'
                        f'mac={mac(node.number)}')
        # The job folder may be in /dev/shm, and the kernel has laid its own /dev over the host's.
        init = f'/bin/mount -t hostfs none /mnt -o {node.job} && exec /mnt/uml-init {node.job}'
        argv += ['init=/bin/bash', '--', '-c', f'"{init}"']
        core, node.claim = claim_core(self.cores)
        self.cores.add(core)
        node.start(argv, lambda: os.sched_setaffinity(0, [core]), pass_fds=files,
                   executable=f'/proc/self/fd/{self.kernel}',
                   env=dict(os.environ, TMPDIR=self.memory))


class Vm:
    """QEMU with Debian's kernel: KVM where it can start that kernel, else software emulation."""

    def __init__(self, files, options, janitor):
        self.files = files
        self.options = options
        self.janitor = janitor
        self.accelerator = self.choose_accelerator()

    def machine(self, accelerator, more=''):
        kernel, initrd = self.files
        # For rxe, emulating qemu64 is twice as fast as emulating all that QEMU can (max).
        accelerate = {'tcg': ['-accel', 'tcg,thread=multi', '-cpu', 'qemu64'],
                      'kvm': ['-accel', 'kvm', '-cpu', 'host']}
        return ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display', 'none',
                '-no-reboot', '-serial', 'stdio', *accelerate[accelerator],
                '-smp', str(self.options.cpus), '-m', self.options.mem,
                '-kernel', f'/proc/self/fd/{kernel}', '-initrd', f'/proc/self/fd/{initrd}',
                '-append', f'console=ttyS0 quiet rdinit=/init panic=-1 mitigations=off {more}']

    def choose_accelerator(self):
        """A /dev/kvm may be there and yet not start this kernel: tried once per host boot."""
        verdict = f'{results("vm")[0]}.accelerator'
        boot = read('/proc/sys/kernel/random/boot_id')
        if not os.access('/dev/kvm', os.R_OK | os.W_OK):
            return 'tcg'
        if not read(verdict).startswith(f'{boot} '):
            if not os.access(os.path.dirname(verdict), os.W_OK):
                return 'tcg'
            with open(f'{verdict}.{os.getpid()}', 'w', encoding='ascii') as file:
                file.write(f'{boot} {"kvm" if self.kvm_works() else "tcg"}\n')
            os.replace(file.name, verdict)
        return read(verdict).split()[1]

    def kvm_works(self):
        probe = self.janitor.start(self.machine('kvm', 'lab_probe'), pass_fds=self.files,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            console = probe.communicate(timeout=PROBE_SECONDS)[0]
            return probe.returncode == 0 and b'lab_probe: up' in console
        except subprocess.TimeoutExpired:
            return False
        finally:
            end_process(probe)

    def start(self, node, end):
        files = list(self.files)
        argv = self.machine(self.accelerator)
        argv += self.folder('host', '/', ',readonly=on') + self.folder('job', node.job)
        for number, share in enumerate(self.options.share):
            argv += self.folder(f'share{number}', share)
        if end:
            files.append(end.fileno())
            argv += ['-netdev', f'dgram,id=wire,local.type=fd,local.str={end.fileno()}',
                     '-device', f'virtio-net-pci,netdev=wire,host_mtu={self.options.mtu},'
                                f'mac={mac(node.number)},romfile=']
        node.start(argv, pass_fds=files)

    @staticmethod
    def folder(tag, path, more=''):
        if ',' in path:
            path = path.replace(',', ',,')   # QEMU's way to write a comma in a value
        return ['-fsdev', f'local,id={tag},path={path},security_model=none,multidevs=remap{more}',
                '-device', f'virtio-9p-pci,fsdev={tag},mount_tag={tag}']


def make_engine(files, options, janitor):
    return {'uml': Uml, 'vm': Vm}[options.engine](files, options, janitor)


def check_machine():
    if os.uname().machine != 'x86_64':
        raise LabError(f'uml and vm need an x86_64 host; this one is {os.uname().machine}')
