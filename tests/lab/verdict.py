# SPDX-License-Identifier: MIT
"""What must hold for a side that has failed."""

UNUSABLE = 'memory must not be used'


def names_cause(result):
    """One line on stderr, and one that says what failed."""
    lines = result.lines()
    if len(lines) != 1 or not lines[0].startswith('multifd'):
        return [f'not one line on stderr: {lines}']
    return []


def check_failed(side, result, cut, limit):
    """The problems of a side that must have failed within `limit` seconds after `cut`."""
    if result.status is None:
        return [f'{side} did not end: {result}']
    problems = names_cause(result)
    if result.status != 1:
        problems.append(f'{side}: status {result.status}, not 1: {result.err}')
    if result.ended - cut > limit:
        problems.append(f'{side} ended {result.ended - cut:.2f} s later, not within {limit:.1f}')
    if side == 'recv' and UNUSABLE not in result.err:
        problems.append(f'recv does not say that its {UNUSABLE}: {result.err}')
    return problems
