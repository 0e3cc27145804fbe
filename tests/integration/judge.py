"""Compare what a web server served, what logship sent, and what the receiver stored. Knows no more than that.

python judge.py SERVED SENT STORED KILLS prints one line, and exits 0 when it adds up. SERVED holds a path a line; SENT
the record of the proxy (time, fate, path); STORED the pathnames that the receiver has; KILLS a line a kill: its
time, and how many paths the checkpoint knew to be settled. The rules:

    lost       served, and not stored: none
    invented   stored, and not served, or stored without having been sent: none
    doubled    stored more than once: at most the requests whose answer the proxy withheld, or wrote to somebody who was
               gone (killed, or tired of waiting), and for each kill what had been sent and was not committed

No rule speaks of seconds: a machine that is busy with other things doubles nothing by that.
"""

import sys
from collections import Counter
from pathlib import Path


def judge(served: list[str], sent: list[str], stored: list[str], kills: list[str]) -> list[str]:
    records = [line.split(" ", 2) for line in sent]
    carried = [(float(at), fate, path) for at, fate, path in records if fate in ("forwarded", "cut", "stalled")]
    asked, got = Counter(served), Counter(stored)
    went = Counter(path for _, _, path in carried)
    lost, invented = asked.keys() - got.keys(), got.keys() - asked.keys()
    unsent = [path for path, times in got.items() if times > went[path]]
    doubled = got.total() - len(got)
    withheld = sum(fate in ("cut", "stalled", "unheard") for _, fate, _ in records)
    records = [each for each in records if each[1] != "unheard"]
    repeated = 0
    for kill, committed in (line.split(" ") for line in kills):
        repeated += max(len({path for at, _, path in carried if at <= float(kill)}) - int(committed), 0)
    print(
        f"{len(asked):,} served, {len(records):,} requests ({withheld} answers withheld, {len(records) - len(carried)} "
        f"not forwarded), {got.total():,} stored, {len(kills)} kills: "
        f"lost {len(lost)}, invented {len(invented)}, doubled {doubled} (at most {withheld + repeated})"
    )
    wrong = [f"lost: {sorted(lost)[:10]}"] if lost else []
    wrong += [f"invented: {sorted(invented)[:10]}"] if invented else []
    wrong += [f"stored more often than sent: {unsent[:10]}"] if unsent else []
    wrong += (
        [f"served twice: {[path for path, times in asked.items() if times > 1]}"] if asked.total() > len(asked) else []
    )
    return wrong + ([f"doubled {doubled}, more than {withheld + repeated}"] if doubled > withheld + repeated else [])


if __name__ == "__main__":
    found = judge(*(Path(name).read_text().splitlines() for name in sys.argv[1:5]))
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))
