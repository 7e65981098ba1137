# SPDX-License-Identifier: MIT
"""Lines of --stats-interval of a session that is slowed down, so that there are some."""
import json

import session

KIB, MIB = 1 << 10, 1 << 20
SIZE = 8 * MIB
BANDWIDTH = 10 * MIB     # bytes per second: so long that there are several lines
INTERVAL = 100           # milliseconds
CHANNELS = 3
MOVED = ('guest_bytes', 'wire_bytes')
COUNTERS = (*MOVED, 'normal_pages', 'zero_pages', 'packets')


def parse(text):
    """The lines of statistics, and the report that follows on one line, or None."""
    objects = [json.loads(line) for line in text.splitlines() if line.startswith('{')]
    lines = [one for one in objects if one['type'] == 'statistics']
    report = objects[-1] if objects and objects[-1]['type'] == 'report' else None
    return lines, report


def check_growth(lines, name):
    """Nothing is told twice or not at all, by the session and by each channel."""
    if sum(line['interval'][name] for line in lines) != lines[-1][name]:
        yield f'{name} of the intervals do not make {lines[-1][name]}'
    for channel, last in enumerate(lines[-1]['channels']):
        told = sum(line['channels'][channel]['interval'][name] for line in lines
                   if channel < len(line['channels']))   # they are made one by one
        if told != last[name]:
            yield f'{name} of the intervals of channel {channel} make {told}, not {last[name]}'


def check_rates(line):
    for one in (line, *line['channels']):
        interval = one['interval']
        for moved, rate in (('guest_bytes', 'guest_gbps'), ('wire_bytes', 'wire_gbps')):
            wanted = interval[moved] * 8 / max(interval['ns'], 1)
            if abs(interval[rate] - wanted) > 1e-6 * (1 + wanted):
                yield f'{rate} is {interval[rate]}, not {wanted}'


def check_lines(side, lines):
    problems = [problem for name in MOVED for problem in check_growth(lines, name)]
    for line in lines:
        problems += check_rates(line)
        if line['version'] != 1 or line['command'] != side or line['blocks'] != 1:
            problems.append(f'a line of {side} is {line}')
    problems += [f'{name} goes back from {line[name]} to {after[name]}'
                 for line, after in zip(lines, lines[1:])
                 for name in (*COUNTERS, 'syncs', 'total_ns', 'session_cpu_ns', 'cpu_ns')
                 if line[name] > after[name]]
    if any(not 0 < line['interval']['ns'] < 60e9 for line in lines):
        problems.append('an interval is none')
    # A busy machine may miss some, but not most of them; none comes more often than it is due.
    seconds = sum(line['interval']['ns'] for line in lines) / 1e9
    due = seconds * 1000 / INTERVAL
    if not 0.4 * due <= len(lines) <= due + 2:
        problems.append(f'{len(lines)} lines in {seconds:.2f} s')
    if sum(0 < line['interval']['guest_bytes'] < SIZE for line in lines) < 3:
        problems.append('nearly all has moved in one interval')
    last = lines[-1]
    for name in COUNTERS:
        if sum(channel[name] for channel in last['channels']) != last[name]:
            problems.append(f'{name} of the channels do not make {last[name]}')
    channels_ns = sum(channel['cpu_ns'] for channel in last['channels'])
    # The clock may move by 10 ms at a time, and on one processor the source's calling thread sends.
    if not (channels_ns <= last['session_cpu_ns'] <= last['cpu_ns'] and last['cpu_ns']):
        problems.append(f'the processor took {channels_ns} ns of the channels, '
                        f'{last["session_cpu_ns"]} of the session, {last["cpu_ns"]} of the process')
    return problems


def check_report(lines, report):
    """The last line tells what the report tells."""
    last = lines[-1]
    problems = [f'{name} is {last[name]} in the last line, {value} in the report'
                for name, value in report.items()
                if name not in ('type', 'address', 'result', 'error', 'channels')
                and last[name] != value]
    for told, reported in zip(last['channels'], report['channels']):
        del told['interval']
        if told != reported:
            problems.append(f'the last line has {told}, the report {reported}')
    return problems


def problems_of(side, result, json_wanted):
    if result.status != 0 or result.lines():
        return [f'{side}: {result}']
    if ' left' in result.err:
        return [f'{side} shows progress besides: {result.err}']
    lines, report = parse(result.out)
    if len(lines) < 2 or (report is not None) != json_wanted:
        return [f'{side} prints {result.out}']
    problems = check_lines(side, lines)
    if json_wanted:
        problems += check_report(lines, report)
    elif f'multifd {side}: ' not in result.out.splitlines()[len(lines)]:
        problems.append(f'no table follows: {result.out}')
    return problems


def transfer(sides, send, recv):
    words = ['--stats-interval', f'{INTERVAL}ms']
    session.make_file('source', SIZE)
    session.remove('destination')
    destination = sides.recv('--ram', f'ram={session.path("destination")}', *words, *recv)
    source = sides.send('--ram', f'ram={session.path("source")}', '--max-bandwidth',
                        str(BANDWIDTH), '--channels', str(CHANNELS), *words, *send)
    return {'send': source.wait(60), 'recv': destination.wait(60)}


def run(setting, sides):
    for send, recv in ((['--json'], ['--json', '--quiet']), (['--quiet'], [])):
        results = transfer(sides, send, recv)
        problems = [problem for side, result in results.items()
                    for problem in problems_of(side, result, '--json' in send)]
        problems += session.differ('source', 'destination')
        setting.tap.check(f'transfer: --stats-interval {" ".join(send)}', problems)
    session.remove('source', 'destination')
