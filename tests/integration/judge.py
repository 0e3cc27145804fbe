"""Compare what a web server served, what logship sent, and what the receiver stored. Knows no more than that.

python judge.py SERVED SENT STORED KILLS CONNECTIONS prints one line, and exits 0 when it adds up. SERVED holds a path a
line; SENT the record of the proxy (time, fate, path); STORED the pathnames that the receiver has, one a line; KILLS the
times of the kills. The rules:

    lost       served, and not stored: none
    invented   stored, and not served, or stored without having been sent: none
    doubled    stored more than once: at most the requests whose answer the proxy withheld or that came late, and for
               each kill those of the last seconds (`CHECKPOINT`) and one a connection
"""

import sys
from collections import Counter
from pathlib import Path

# Seconds: the checkpoint is two behind, and an answer that never comes holds it back for five more; the rest is for
# machines that have other things to do.
CHECKPOINT = 12.0


def judge(served: list[str], sent: list[str], stored: list[str], kills: list[float], connections: int) -> list[str]:
    records = [line.split(" ", 2) for line in sent]
    carried = [(float(at), fate, path) for at, fate, path in records if fate in ("forwarded", "cut", "stalled")]
    asked, got = Counter(served), Counter(stored)
    went = Counter(path for _, _, path in carried)
    lost, invented = asked.keys() - got.keys(), got.keys() - asked.keys()
    unsent = [path for path, times in got.items() if times > went[path]]
    doubled = got.total() - len(got)
    withheld = sum(fate in ("cut", "stalled", "late") for _, fate, _ in records)
    records = [each for each in records if each[1] != "late"]
    repeated = sum(connections + sum(kill - CHECKPOINT <= at <= kill for at, _, _ in carried) for kill in kills)
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
    files = [Path(name).read_text().splitlines() for name in sys.argv[1:5]]
    found = judge(*files[:3], [float(each) for each in files[3]], int(sys.argv[5]))
    print("\n".join(found), file=sys.stderr)
    sys.exit(bool(found))
