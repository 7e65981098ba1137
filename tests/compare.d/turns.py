# SPDX-License-Identifier: MIT
"""Turns: every contender once in each round, so that what slows a machine for a while slows all."""
import sys

from contender import Failure

TRIES = 8        # of a contender that is known to fail now and then
GIVE_UP = 2      # failures in a row after which a contender is left alone
MISMATCH = 'the destination has other memory than the source'


class Alone:
    """Server and client are in one node."""
    tells = True        # of its samples, while they come

    @staticmethod
    def at_server(act):
        return act()

    at_client = at_server


class Halves:
    """Both nodes go through the same steps; each does its half and gets what the other's returns."""

    def __init__(self, meeting, is_server):
        self.meeting = meeting
        self.is_server = is_server
        self.tells = is_server

    def at_server(self, act):
        return self.do(act, self.is_server)

    def at_client(self, act):
        return self.do(act, not self.is_server)

    def do(self, act, is_mine):
        mine = attempt(act) if is_mine else None
        theirs = self.meeting.meet(mine)
        told = mine if is_mine else theirs
        if 'failed' in told:
            raise Failure(told['failed'], told['again'])
        return told['returned']


def attempt(act):
    try:
        return {'returned': act()}
    except Failure as failure:
        return {'failed': str(failure), 'again': failure.again}


def take_turn(stage, contender, place):
    """Returns {'values': ..., 'cpu': [server's, client's]} or {'error': why}."""
    try:
        if place.renew:
            stage.at_client(place.renew)
        port = stage.at_server(lambda: contender.serve(place))
        client = stage.at_client(lambda: contender.drive(place, port))
        server = stage.at_server(lambda: contender.finish(place))
        if client.get('digest') != server.get('digest'):
            return {'error': MISMATCH, 'mismatch': True}
        sample = {'values': client['values'], 'cpu': [server.get('cpu'), client.get('cpu')]}
        reports = [side['report'] for side in (server, client) if 'report' in side]
        return {**sample, 'reports': reports} if reports else sample
    except Failure as failure:
        return {'error': str(failure), 'again': failure.again}
    finally:
        contender.clean(place)


def sample_of(stage, contender, place):
    """A turn that is taken again when the contender is known to fail now and then."""
    why = []
    while True:
        sample = take_turn(stage, contender, place)
        if not sample.pop('again', False) or len(why) == TRIES - 1:
            return {**sample, 'again': why}
        why.append(sample['error'])


def describe(sample):
    if 'error' in sample:
        return f'failed: {sample["error"]}'
    tries = f' (try {len(sample["again"]) + 1})' if sample['again'] else ''
    return ', '.join(f'{name} {value:.4g}' for name, value in sample['values'].items()) + tries


def play(stage, contenders, place, rounds, content):
    """Plays a round to warm up, numbered 0, and then so many; yields all samples."""
    failures = {contender.name: 0 for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders:
            if failures[contender.name] == GIVE_UP:
                continue
            sample = sample_of(stage, contender, place)
            failures[contender.name] = failures[contender.name] + 1 if 'error' in sample else 0
            if stage.tells:
                print(f'# {content or "-"}, round {number} of {rounds}: {contender.name}: '
                      f'{describe(sample)}', file=sys.stderr, flush=True)
            yield {'content': content, 'round': number, 'contender': contender.name, **sample}
