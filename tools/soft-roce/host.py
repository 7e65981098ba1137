# SPDX-License-Identifier: MIT
"""The engine 'host': the machine's own RDMA device."""
import fcntl
import glob
import os
import resource
import socket
import struct
import subprocess

from common import EXIT_TIMEOUT, LabError, read, say
from janitor import end_process

SIOCGIFADDR = 0x8915


def find_port():
    """(device, network interface) of the first active port that this user may open, or None."""
    for state in sorted(glob.glob('/sys/class/infiniband/*/ports/*/state')):
        device = state.split('/')[4]
        interface = port_interface(os.path.dirname(state))
        usable = 'ACTIVE' in read(state) and may_open(device)
        if usable and interface and address4(interface):
            return device, interface
    return None


def may_open(device):
    for path in glob.glob('/sys/class/infiniband_verbs/uverbs*/ibdev'):
        if read(path) == device:
            node = os.path.basename(os.path.dirname(path))
            return os.access(f'/dev/infiniband/{node}', os.R_OK | os.W_OK)
    return False


def port_interface(port):
    for path in sorted(glob.glob(f'{port}/gid_attrs/ndevs/*')):
        if read(path):
            return read(path)
    interfaces = sorted(glob.glob(f'{port}/../../device/net/*'))
    return os.path.basename(interfaces[0]) if interfaces else None


def address4(interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack('256s', interface.encode()[:15]))
        except OSError:
            return ''
    return socket.inet_ntoa(answer[20:24])


def address6(interface):
    """The first global address, else an empty text."""
    for line in read('/proc/net/if_inet6').splitlines():
        digits, _, _, scope, _, name = line.split()
        if name == interface and scope == '00':
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    return ''


def environment(options, port):
    device, interface = port
    own = {'LAB_NODE': '1', 'LAB_NODES': '1', 'LAB_ENGINE': 'host',
           'LAB_DEVICE': device, 'LAB_IF': interface,
           'LAB_ADDRESS': address4(interface), 'LAB_PEER_ADDRESS': address4(interface),
           'LAB_ADDRESS6': address6(interface), 'LAB_PEER_ADDRESS6': address6(interface)}
    return {**os.environ, **own, **options.env}


def lift_memory_limit():
    """As high as this user may."""
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    wanted = resource.RLIM_INFINITY if os.geteuid() == 0 else hard
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (wanted, wanted))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))


def run(options, janitor):
    port = find_port()
    if not port:
        raise LabError('this host has no RDMA device with an active port and an address')
    if options.peer:
        raise LabError('the engine host has one node only; --peer needs the engine uml or vm')
    process = janitor.start(['bash', '-c', options.command], lift_memory_limit,
                            env=environment(options, port))
    try:
        status = process.wait(options.timeout)
        return status if status >= 0 else 128 - status
    except subprocess.TimeoutExpired:
        say(f'no end within {options.timeout:g} s')
        return EXIT_TIMEOUT
    finally:
        end_process(process)
