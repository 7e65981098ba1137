# SPDX-License-Identifier: MIT
"""Plays one group, in a lab node or on the host: node.py JOB, which is a JSON file:

  {"group": NAME, "pairs": N, "result": FILE, "share": FOLDER, "multifd": PATH,
   "contents": {NAME: what contents.py has made}, "saved": FOLDER or null}
"""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[1:1] = [os.path.join(TOP, 'tests', 'lab'), os.path.join(TOP, 'tools')]

import demo  # finds the lab's own modules
import contents
import meeting
import plan
import session
import turns
from common import remove_folder
from contender import Place
from janitor import Janitor

MIB = 1 << 20


def output_of(*argv):
    """The first line that a program prints, or None."""
    try:
        result = session.run(argv, 20)
    except OSError:
        return None
    lines = (result.out.strip() or result.err.strip()).splitlines()
    return lines[0] if result.status in (0, 1) and lines else None


def rdma_mtu(device):
    found = re.search(r'active_mtu:\s+(\d+)', session.run(['ibv_devinfo', '-d', device], 20).out)
    return int(found[1]) if found else None


def system(job, device):
    """What it runs on."""
    interface = os.environ.get('LAB_IF')
    told = {'kernel': ' '.join(os.uname()[::2]), 'processors': len(os.sched_getaffinity(0)),
            'multifd': output_of(job['multifd'], '--version'),
            'qemu': output_of('qemu-system-x86_64', '--version'),
            'perftest': (output_of('ib_write_bw', '--version') or '').partition(' ')[2] or None,
            'device': device}
    if device:
        told['mtu'] = rdma_mtu(device)
        with open(f'/sys/class/net/{interface}/mtu', encoding='ascii') as file:
            told['interface_mtu'] = int(file.read())
    return told


def set_content(place, job, content):
    """Puts the memory that is moved into the folder. A server only needs its size."""
    if content is None:
        return
    chosen = job['contents'][content]
    place.mib = os.path.getsize(chosen['path']) // MIB
    place.normal = chosen['normal']
    place.source = place.path('source')
    contents.put(chosen, place.source)
    # A look at a hole fills it, so that who comes later would find another memory.
    place.renew = (lambda: contents.put(chosen, place.source)) if chosen['extents'] else None


def make_stage(job):
    if os.environ.get('LAB_NODES') != '2':
        return turns.Alone()
    me = os.environ['LAB_NODE']
    halves = meeting.Meeting(job['share'], me, {'1': '2', '2': '1'}[me])
    return turns.Halves(halves, me == '1')


def make_place(folder):
    device = os.environ.get('LAB_DEVICE')
    address = os.environ.get('LAB_ADDRESS', '127.0.0.1')
    if os.environ.get('LAB_NODE') == '2':
        address = os.environ['LAB_PEER_ADDRESS']
    return Place(folder, address, device)


def play(job, folder, janitor):
    place = make_place(folder)
    group = plan.GROUPS[job['group']](job, janitor)
    if group.room:
        subprocess.run(['mount', '-o', f'remount,size={group.room}', '/dev/shm'], check=True)
    stage = make_stage(job)
    samples = []
    words = {}
    for content in group.contents:
        contenders = group.contenders(content)
        words.update({contender.name: contender.words for contender in contenders})
        set_content(place, job, content)
        samples += turns.play(stage, contenders, place, job['pairs'], content)
    return {'system': system(job, place.device), 'words': words, 'samples': samples}


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        job = json.load(file)
    janitor = Janitor()
    folder = tempfile.mkdtemp(prefix='compare-', dir='/dev/shm')
    janitor.tell('folder', folder)
    try:
        played = play(job, folder, janitor)
    finally:
        remove_folder(folder)
        janitor.dismiss()
    if os.environ.get('LAB_NODE', '1') == '1':      # the other one has the same
        with open(job['result'], 'w', encoding='utf-8') as file:
            json.dump(played, file)


if __name__ == '__main__':
    main()
