# SPDX-License-Identifier: MIT
"""From samples to the table: for each row the ratios of its pairs, their median and spread."""
from statistics import median

# How a measure is compared and shown: whether more is better, its unit, its decimals.
MEASURES = {'own': (False, 's', 3), 'wall': (False, 's', 3), 'rate': (True, 'Gb/s', 2),
            'p50': (False, 'us', 1), 'p99': (False, 'us', 1)}
HEADINGS = ['what', 'peer', 'ours', 'measure', 'peer', 'ours', 'ratio', 'min..max', 'pairs',
            'CPU s, peer', 'CPU s, ours']
MEANING = """\
ratio: how many times as good as the peer ours is, above 1 ours is better; the median of the pairs, one of
each round, with the least and the most. Peer, ours: medians. CPU s: destination + source, medians of
what the programs themselves used; the kernel's own threads are not in it."""


class Row:
    """Compares one value of a peer with one of ours.

    A side is a contender's name, or (name, key) when its value is not called as the measure is."""

    def __init__(self, what, peer, ours, measure, content=None):
        self.what = what
        self.peer = peer if isinstance(peer, tuple) else (peer, measure)
        self.ours = ours if isinstance(ours, tuple) else (ours, measure)
        self.measure = measure
        self.content = content


def samples_of(row, side, samples):
    """Round: sample, of the rounds that count."""
    return {sample['round']: sample for sample in samples
            if sample['contender'] == side[0] and sample['content'] == row.content
            and sample['round'] > 0}


def values_of(side, samples):
    return {number: sample['values'][side[1]] for number, sample in samples.items()
            if side[1] in sample.get('values', {})}


def ratios(peer, ours, more_is_better):
    """Of the rounds that both have."""
    both = sorted(peer.keys() & ours.keys())
    if more_is_better:
        return [ours[number] / peer[number] for number in both]
    return [peer[number] / ours[number] for number in both]


def errors(row, samples):
    """What went wrong with either side, in any round; the first of each side."""
    found = []
    for who, side in (('peer', row.peer), ('ours', row.ours)):
        wrong = [sample for sample in samples if sample['contender'] == side[0]
                 and sample['content'] == row.content and 'error' in sample]
        if wrong:
            found.append(f'{who}, {len(wrong)} times: {wrong[0]["error"]}')
    return found


def cpu_of(samples):
    """[destination, source], medians; None where it is not known."""
    both = [sample['cpu'] for sample in samples.values() if 'cpu' in sample]
    sides = [[cpu[number] for cpu in both if cpu[number] is not None] for number in (0, 1)]
    return [median(side) if side else None for side in sides]


def result_of(row, samples):
    """What the table says of a row, in numbers."""
    sides = {'peer': samples_of(row, row.peer, samples), 'ours': samples_of(row, row.ours, samples)}
    values = {'peer': values_of(row.peer, sides['peer']), 'ours': values_of(row.ours, sides['ours'])}
    pairs = ratios(values['peer'], values['ours'], MEASURES[row.measure][0])
    result = {'what': row.what, 'content': row.content, 'measure': row.measure,
              'ratios': pairs, 'ratio': median(pairs) if pairs else None, 'failed': errors(row, samples)}
    for side, (contender, _) in (('peer', row.peer), ('ours', row.ours)):
        named = {'contender': contender, 'cpu': cpu_of(sides[side]),
                 'median': median(values[side].values()) if values[side] else None}
        result[side] = named
    if not pairs and not result['failed']:
        result['failed'] = ['there is no pair']
    return result


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
