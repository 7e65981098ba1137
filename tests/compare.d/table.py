# SPDX-License-Identifier: MIT
"""From samples to the table: for each row the ratios of its pairs, their median and spread."""
from statistics import median

# How a measure is compared and shown: whether more is better, its unit, its decimals.
MEASURES = {'own': (False, 's', 3), 'wall': (False, 's', 3), 'down': (False, 's', 3), 'rate': (True, 'Gb/s', 2),
            'own/GiB': (False, 's', 4), 'memory': (False, 'MiB', 1), 'p50': (False, 'us', 1)}
HEADINGS = ['what', 'peer', 'ours', 'measure', 'peer', 'ours', 'ratio', 'min..max', 'pairs',
            'CPU s, peer', 'CPU s, ours']
MEANING = """\
ratio: how many times as good as the peer ours is, above 1 ours is better; the median of the pairs, one of
each round, with the least and the most. Peer, ours: medians. CPU s: destination + source, medians of
what the programs themselves used; the kernel's own threads are not in it."""


class Row:
    """Compares a value of a peer with one of ours.

    A side is the name of a contender; or (name, key) when its value is not called as the measure is;
    or a list of (name, key, factor), which are added up."""

    def __init__(self, what, peer, ours, measure, content=None):
        self.what = what
        self.peer = terms(peer, measure)
        self.ours = terms(ours, measure)
        self.measure = measure
        self.content = content


def terms(side, measure):
    if isinstance(side, list):
        return side
    return [(side, measure, 1) if isinstance(side, str) else (*side, 1)]


def name_of(side):
    return ' + '.join(name if factor == 1 else f'{factor} x {name}' for name, _, factor in side)


def samples_of(row, name, samples):
    """Round: sample, of the rounds that count."""
    return {sample['round']: sample for sample in samples
            if sample['contender'] == name and sample['content'] == row.content
            and sample['round'] > 0}


def values_of(row, side, samples):
    """Round: value, of the rounds in which there are all terms."""
    totals = None
    for name, key, factor in side:
        values = {number: factor * sample['values'][key]
                  for number, sample in samples_of(row, name, samples).items()
                  if key in sample.get('values', {})}
        totals = values if totals is None else {number: totals[number] + values[number]
                                                for number in totals.keys() & values.keys()}
    return totals


def ratios(peer, ours, more_is_better):
    """Of the rounds that both have."""
    both = sorted(peer.keys() & ours.keys())
    if more_is_better:
        return [ours[number] / peer[number] for number in both]
    return [peer[number] / ours[number] for number in both]


def troubles(row, samples, what):
    """What there is to tell of either side; the first reason for each contender.

    `what` returns the reasons in a sample."""
    for who, side in (('peer', row.peer), ('ours', row.ours)):
        for name in dict.fromkeys(name for name, _, _ in side):
            reasons = [reason for sample in samples if sample['contender'] == name
                       and sample['content'] == row.content for reason in what(sample)]
            if reasons:
                times = 'once' if len(reasons) == 1 else f'{len(reasons)} times'
                yield f'{who}, {times}: {reasons[0]}'


def cpu_of(samples):
    """[destination, source], medians; None where it is not known."""
    both = [sample['cpu'] for sample in samples.values() if 'cpu' in sample]
    sides = [[cpu[number] for cpu in both if cpu[number] is not None] for number in (0, 1)]
    return [median(side) if side else None for side in sides]


def summary(row, side, values, samples):
    """Of one side. Processor time is that of one program, so there is none of a sum, nor of half a program."""
    is_one = len(side) == 1 and row.peer[0][0] != row.ours[0][0]
    cpu = cpu_of(samples_of(row, side[0][0], samples)) if is_one else [None, None]
    return {'contender': name_of(side), 'cpu': cpu,
            'median': median(values.values()) if values else None}


def result_of(row, samples):
    """What the table says of a row, in numbers."""
    peer = values_of(row, row.peer, samples)
    mine = values_of(row, row.ours, samples)
    pairs = ratios(peer, mine, MEASURES[row.measure][0])
    failed = list(troubles(row, samples, lambda sample: filter(None, [sample.get('error')])))
    return {'what': row.what, 'content': row.content, 'measure': row.measure, 'ratios': pairs,
            'ratio': median(pairs) if pairs else None,
            'failed': failed or ([] if pairs else ['there is no pair']),
            'again': list(troubles(row, samples, lambda sample: sample.get('again', []))),
            'peer': summary(row, row.peer, peer, samples),
            'ours': summary(row, row.ours, mine, samples)}


def number(value, decimals):
    return '-' if value is None else f'{value:.{decimals}f}'


def cells(result):
    _, unit, decimals = MEASURES[result['measure']]
    pairs = result['ratios']
    spread = f'{min(pairs):.2f}..{max(pairs):.2f}' if pairs else '-'
    cpus = ['+'.join(number(value, 2) for value in result[side]['cpu']) for side in ('peer', 'ours')]
    return [result['what'], result['peer']['contender'], result['ours']['contender'],
            f'{result["measure"]}, {unit}', number(result['peer']['median'], decimals),
            number(result['ours']['median'], decimals), number(result['ratio'], 2), spread,
            str(len(pairs)), *cpus]


def layout(lines):
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        left = [cell.ljust(width) for cell, width in zip(line[:4], widths)]
        right = [cell.rjust(width) for cell, width in zip(line[4:], widths[4:])]
        yield '  '.join(left + right).rstrip()


def table(results):
    """The lines of the table. Failures stand in their row, or below it when it has pairs, too."""
    head, *rows = layout([HEADINGS, *map(cells, results)])
    yield head
    for row, result in zip(rows, results):
        failed = f'failed: {"; ".join(result["failed"])}'
        yield row if result['ratios'] else f'{row}  {failed}'
        if result['ratios'] and result['failed']:
            yield f'  {failed}'
        if result['again']:
            yield f'  taken again: {"; ".join(result["again"])}'
